/** Values for the schemas of a description: such as fit, such as do not, and such as nobody thinks of. */
import fc from "fast-check";
import type { JsonSchema } from "../../../src/generate/definitions.ts";

/** Values that mean something, for properties of this name. */
export type Known = Readonly<Record<string, fc.Arbitrary<unknown>>>;
type Resolve = (schema: JsonSchema) => JsonSchema;

/** Texts that have gone wrong somewhere before. */
const oddTexts = [
  "__proto__",
  "constructor",
  "toString",
  "\0",
  "\u2028\u2029",
  "\ud800",
  "\udc00\ud800",
  "\ufeff",
  "🏴󠁧󠁢󠁥󠁮󠁧󠁿👩‍👩‍👧‍👦",
  "ﷺ".repeat(20),
  "é".repeat(3),
  "../../../etc/passwd",
  "' OR 1=1; --",
  "%00%2e%2e%2f",
  "{{7*7}}",
  "<script>alert(1)</script>",
  "data: x\n\nevent: finished\ndata: {}\n\n",
  "\r\nX-Injected: yes\r\n\r\n",
  " ",
];
const HUGE = 100_000;

/** Of any kind, lone surrogates and all. */
export const texts = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 2, arbitrary: fc.constantFrom(...oddTexts) },
);

const numbers = fc.oneof(
  fc.constantFrom(0, -0, -1, 1.5, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 53, -(2 ** 53), 2 ** 63, 1e21),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
);

/** Any JSON at all, nested deeply now and then. */
export const anything: fc.Arbitrary<unknown> = fc.oneof(
  texts,
  numbers,
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(texts, { maxLength: 3 }),
  extras(texts),
  { weight: 1, arbitrary: fc.integer({ min: 10, max: 60 }).map((depth) => nested(depth)) },
);

/** What fits a schema. Properties whose names are `known` are filled from there. */
export function fitting(schema: JsonSchema, resolve: Resolve, known: Known = {}): fc.Arbitrary<unknown> {
  const own = resolve(schema);
  const { anyOf, enum: values, const: only, type, minimum = -(2 ** 31), maximum = 2 ** 53 - 1, items, minItems = 0, maxItems = 100 } = own;
  if (anyOf !== undefined) return fc.oneof(...anyOf.filter((each) => typeof each === "object").map((each) => fitting(each, resolve, known)));
  if (values !== undefined) return fc.constantFrom(...values);
  if (only !== undefined) return fc.constant(only);
  if (type === "string") return fittingText(own);
  if (type === "boolean") return fc.boolean();
  if (type === "null") return fc.constant(null);
  if (type === "number") return numbers.map((number) => Math.min(Math.max(number, own.minimum ?? number), own.maximum ?? number));
  if (type === "integer")
    return fc.oneof(
      fc.constantFrom(minimum, maximum),
      fc.integer({ min: minimum, max: maximum }),
      fc.integer({ min: minimum, max: Math.min(maximum, minimum + 100) }),
    );
  if (type === "array") {
    const item = typeof items === "object" && !Array.isArray(items) ? fitting(items as JsonSchema, resolve, known) : anything;
    return fc.array(item, { minLength: minItems, maxLength: Math.min(maxItems, minItems + 3) });
  }
  if (type !== "object") return anything;
  const options = (own.oneOf ?? [{}]).filter((each) => typeof each === "object");
  return fc.oneof(...options.map(({ required = [] }) => fittingObject(own, required, resolve, known)));
}

/** The value with something in it replaced, left out, or added. */
export function spoiled(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const junk = fc.oneof(
    { weight: 20, arbitrary: anything },
    { weight: 1, arbitrary: fc.constantFrom("x", "é", "\ud83d\ude00").map((text) => text.repeat(HUGE / text.length)) },
  );
  return fc.tuple(value, fc.nat(), junk, fc.constantFrom("replace", "leave out", "replace", "add")).map(([whole, place, other, how]) => {
    const places = placesIn(whole);
    const path = places[place % places.length]!;
    return change(whole, path, other, how);
  });
}

function fittingText({ minLength = 0, maxLength = 2000, pattern, format }: JsonSchema): fc.Arbitrary<string> {
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern, "u"), { maxLength: Math.min(maxLength, 60) });
  if (format === "uri") return fc.constantFrom("http://127.0.0.1:9/", "http://[::1]:9/v1?x=%00#y");
  const fits = ({ length }: string) => length >= minLength && length <= maxLength;
  return fc.oneof(
    { weight: 6, arbitrary: texts.filter(fits) },
    { weight: 1, arbitrary: fc.constantFrom(minLength, Math.min(maxLength, HUGE)).map((length) => "x".repeat(length)) },
  );
}

function fittingObject(schema: JsonSchema, more: readonly string[], resolve: Resolve, known: Known): fc.Arbitrary<object> {
  const { properties = {}, additionalProperties } = schema;
  const required = [...(schema.required ?? []), ...more];
  const entries = Object.entries(properties).map(([name, property]) => {
    const value = known[name] ?? (typeof property === "object" ? fitting(property, resolve, known) : anything);
    const pair = value.map((each): [string, unknown][] => [[name, each]]);
    return required.includes(name) ? pair : fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: pair });
  });
  const others =
    additionalProperties === false ? fc.constant({}) : fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: extras(anything) });
  // Entries, because assigning to `__proto__` makes no property.
  return fc
    .tuple(fc.tuple(...entries), others)
    .map(([own, unknown]) => Object.fromEntries([...Object.entries(unknown).filter(([name]) => !Object.hasOwn(properties, name)), ...own.flat()]));
}

function extras(value: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  const names = fc.oneof(fc.constantFrom("__proto__", "constructor", "prototype", "toString", "then", "toJSON", "$ref", ""), texts);
  return fc.array(fc.tuple(names, value), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs));
}

function nested(depth: number): unknown {
  let value: unknown = "in";
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { in: value };
  return value;
}

type Path = readonly string[];

function placesIn(value: unknown, path: Path = []): Path[] {
  const below = typeof value === "object" && value !== null ? Object.entries(value).flatMap(([name, each]) => placesIn(each, [...path, name])) : [];
  return [path, ...below];
}

function change(value: unknown, [name, ...rest]: Path, other: unknown, how: string): unknown {
  if (name === undefined)
    return how === "add" && typeof value === "object" && value !== null && !Array.isArray(value) ? with_(value, "__proto__", other) : other;
  if (typeof value !== "object" || value === null) return value;
  if (rest.length === 0 && how === "leave out") {
    return Array.isArray(value)
      ? value.filter((_, index) => String(index) !== name)
      : Object.fromEntries(Object.entries(value).filter(([each]) => each !== name));
  }
  const below = change((value as Record<string, unknown>)[name], rest, other, how);
  return Array.isArray(value) ? value.map((each, index) => (String(index) === name ? below : each)) : with_(value, name, below);
}

function with_(value: object, name: string, other: unknown): object {
  return Object.fromEntries([...Object.entries(value).filter(([each]) => each !== name), [name, other]]);
}
