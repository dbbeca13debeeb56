/** Requests for the operations of a description. */
import fc from "fast-check";
import type { JsonSchema } from "../../../src/generate/definitions.ts";
import type { Parameter } from "../../../src/generate/openapi/document.ts";
import type { Sent } from "./client.ts";
import type { Described, Description } from "./description.ts";
import { ANY_SESSION, ANY_STREAM } from "./pool.ts";
import { anything, fitting, type Known, spoiled, texts } from "./values.ts";

/** Segments of a path that break those who decode them once too often, or too rarely. */
const oddSegments = [
  "%2F",
  "..%2f..%2Fetc%2fpasswd",
  "%252e%252e",
  "%00",
  "%C3%A9",
  "%C0%AF",
  "%zz",
  "%",
  "%E0%A4%A",
  ".",
  "..",
  ";x=1",
  "a%3Fb%23c",
  "*",
  ":id",
  "%7Bid%7D",
  "a+b",
  "~",
  "__proto__",
  "'",
  "[1]",
  "x".repeat(300),
  "x".repeat(600),
];
const oddQueries = [
  "__proto__=1",
  "limit=1&limit=2",
  "limit[]=1",
  "a[b]=c",
  "%zz=%zz",
  "&&==&",
  "limit=%00",
  "constructor[prototype]=1",
  "after=%ED%A0%80",
  "?",
  "limit=1e2",
  "limit=0x10",
  "limit=+1",
  "limit=",
  "x".repeat(3000),
];

const JSON_TYPE = "application/json";
const types = fc.oneof(
  { weight: 40, arbitrary: fc.constant(JSON_TYPE) },
  { weight: 2, arbitrary: fc.constantFrom("application/json; charset=utf-8", "Application/JSON", "application/json;charset=latin1") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/vnd.api+json",
      "application/",
      "/",
      ";",
      "json",
      "*/*",
    ),
  },
);
const accepts = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("text/event-stream", "text/event-stream, */*", "application/json, text/event-stream;q=0.5", "*/*", "image/png", ",;,q=;", ""),
  },
);
const oddHeaders = fc.constantFrom(
  {},
  {},
  {},
  { "content-encoding": "gzip" },
  { "x-request-id": "mine" },
  { "x-http-method-override": "DELETE" },
  { "x-forwarded-for": "1.2.3.4, 5.6.7.8", forwarded: "for=1.2.3.4", "x-forwarded-host": "evil.example" },
  { range: "bytes=0-1" },
  { "if-none-match": "*" },
  { "accept-encoding": "gzip, br" },
  { cookie: "a=b; c" },
  { expect: "100-continue" },
);

/** The body as the bytes that are sent, and as what they mean: `value` is absent where they are no JSON. */
interface Body {
  bytes: Buffer | undefined;
  value?: unknown;
}

export interface Drawn {
  sent: Sent;
  /** It may be that of nothing at all. */
  isOddAddress: boolean;
  body: Body;
}

/** Requests for an operation, good ones and bad ones. `bodies` stands in for what its schema says. */
export function requests(description: Description, { verb, path, operation }: Described, known: Known, bodies?: fc.Arbitrary<unknown>): fc.Arbitrary<Drawn> {
  const resolve = (schema: JsonSchema) => description.resolve(schema);
  const { parameters = [], requestBody } = operation;
  const schema = requestBody?.content[JSON_TYPE]?.schema;
  const good = bodies ?? (schema === undefined ? undefined : fitting(schema, resolve, known));
  const inPath = fc.tuple(...at("path", parameters).map((each) => segment(each, resolve)));
  const inQuery = named(at("query", parameters), resolve, texts.map(wellFormed));
  const inHead = named(at("header", parameters), resolve, fc.string());
  const odd = fc.oneof({ weight: 14, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...oddQueries) });
  return fc
    .tuple(inPath, inQuery, odd, inHead, body(good, verb), types, accepts, oddHeaders)
    .map(([segments, asked, oddQuery, head, content, type, accept, more]) => {
      let place = 0;
      const address = path.replace(/\{\w+\}/g, () => segments[place++]!);
      const query = oddQuery ?? new URLSearchParams(asked).toString();
      const headers = { ...(content.bytes === undefined ? {} : { "content-type": type }), ...(accept === undefined ? {} : { accept }), ...more, ...head };
      return {
        sent: { method: verb, target: query === "" ? address : `${address}?${query}`, headers, body: content.bytes },
        isOddAddress: segments.some((each) => oddSegments.includes(each)),
        body: content,
      };
    });
}

function at(place: Parameter["in"], parameters: readonly Parameter[]): Parameter[] {
  return parameters.filter((each) => each.in === place);
}

function segment({ name, schema }: Parameter, resolve: (schema: JsonSchema) => JsonSchema): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant(name === "streamId" ? ANY_STREAM : ANY_SESSION) },
    { weight: 2, arbitrary: fitting(schema, resolve).map((value) => encodeURIComponent(wellFormed(value))) },
    { weight: 2, arbitrary: fc.constantFrom(...oddSegments) },
  );
}

/** Values by name, for the query or the head; `others` are such as need not fit. */
function named(
  parameters: readonly Parameter[],
  resolve: (schema: JsonSchema) => JsonSchema,
  others: fc.Arbitrary<string>,
): fc.Arbitrary<Record<string, string>> {
  const pairs = parameters.map(({ name, schema }) =>
    fc.oneof(
      fc.constant([]),
      fc.oneof(fitting(schema, resolve).map(wellFormed), others).map((text) => [[name, text]]),
    ),
  );
  return fc.tuple(...pairs).map((drawn) => Object.fromEntries(drawn.flat()) as Record<string, string>);
}

/** Lone surrogates have no bytes in UTF-8. */
function wellFormed(value: unknown): string {
  return Buffer.from(String(value)).toString("utf8");
}

function body(good: fc.Arbitrary<unknown> | undefined, verb: string): fc.Arbitrary<Body> {
  const none: fc.Arbitrary<Body> = fc.constant({ bytes: undefined });
  const ofValue = (value: unknown): Body => ({ bytes: Buffer.from(JSON.stringify(value)), value });
  if (good === undefined) return verb === "GET" ? none : fc.oneof({ weight: 3, arbitrary: none }, { weight: 1, arbitrary: anything.map(ofValue) });
  return fc.oneof(
    { weight: 14, arbitrary: good.map(ofValue) },
    { weight: 8, arbitrary: spoiled(good).map(ofValue) },
    { weight: 2, arbitrary: anything.map(ofValue) },
    { weight: 3, arbitrary: broken(good) },
    { weight: 1, arbitrary: none },
  );
}

/** Bytes that are no JSON, or JSON as no program writes it. */
function broken(good: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  return fc.tuple(good, fc.nat(), fc.nat(ways.length - 1), fc.uint8Array({ maxLength: 30 })).map(([value, place, way, bytes]) => {
    const text = Buffer.from(JSON.stringify(value));
    return { bytes: ways[way]!(text, place % (text.length + 1), Buffer.from(bytes)) };
  });
}

const ways: readonly ((text: Buffer, place: number, bytes: Buffer) => Buffer)[] = [
  (text, place) => text.subarray(0, place),
  (text, place, bytes) => Buffer.concat([text.subarray(0, place), bytes, text.subarray(place)]),
  (_, __, bytes) => bytes,
  (text) => Buffer.concat([Buffer.from("\ufeff"), text]),
  (text) => Buffer.from(text.toString("utf8"), "utf16le"),
  (text) => Buffer.concat([text, text]),
  (text) => Buffer.from(text.toString("latin1").replace(/\d+/g, "1e400")),
  (text) => Buffer.from(text.toString("latin1").replace(/\d+/g, "9007199254740993")),
  (text) => Buffer.from(text.toString("latin1").replace(/^\{/, '{"prompt":1,"prompt":"twice",')),
  (_, place) => Buffer.from("[".repeat(place * 20)),
  (_, place) => Buffer.from(`${'{"a":'.repeat(place + 60)}1${"}".repeat(place + 60)}`),
];
