import type { Failure } from "../errors.ts";
import { registerSecret } from "../redact.ts";
import { Countdown } from "./countdown.ts";
import type { Dialect } from "./dialect.ts";
import { postForStream, type Reply } from "./http.ts";
import type { ModelEvent, ProviderSettings } from "./provider.ts";
import { ResponseReader } from "./reader.ts";

/** A call as a provider encodes it. */
export interface Call {
  url: URL;
  headers: Readonly<Record<string, string>>;
  body: Readonly<Record<string, unknown>>;
}

/** A request that this provider cannot express; its message is meant for the host. */
export class Inexpressible extends Error {
  override name = "Inexpressible";
}

/**
 * One attempt at a model server, as the port promises: it never throws, a batch is what arrived
 * together, and it ends after `finish` or `failure`, or quietly when `signal` is aborted.
 * `encode` may throw `Inexpressible`, which becomes `invalid_params`.
 */
export async function* attempt(
  encode: () => Call,
  dialect: Dialect,
  settings: ProviderSettings,
  signal: AbortSignal,
): AsyncGenerator<readonly ModelEvent[], void, undefined> {
  // The server may repeat the key in an error.
  registerSecret(settings.apiKey?.trim());
  let reply: Reply | undefined;
  let isFinished = false;
  try {
    if (signal.aborted) return;
    const { url, headers, body } = encode();
    const silence = new Countdown(settings.idleTimeoutMs);
    const post = { url, headers: { ...commonHeaders, ...login(url), ...headers }, body: encodeBody(body) };
    const outcome = await postForStream(post, settings, silence, signal);
    if (outcome.type === "failure") yield [outcome];
    if (outcome.type !== "reply") return;
    reply = outcome.reply;

    const reader = new ResponseReader(dialect);
    while (!reader.isOver) {
      const arrival = await reply.read();
      if (arrival.type === "aborted") return;
      const out: ModelEvent[] = [];
      if (arrival.type !== "bytes") reader.end(out, arrival.type === "failure" ? arrival.failure : undefined);
      else if (reader.push(arrival.bytes, out)) silence.reset();
      isFinished = out.at(-1)?.type === "finish";
      if (out.length > 0) yield out;
      if (signal.aborted) return;
    }
  } catch (error) {
    if (!signal.aborted) yield [{ type: "failure", failure: failureOf(error) }];
  } finally {
    // After a fault or an early stop the server may send on for long; after a good end it is done.
    if (isFinished) reply?.finish();
    else reply?.close();
  }
}

/** The address with `path` appended; slashes between them do not matter, and a query (`?api-version=…`) stays. */
export function endpoint(baseUrl: string, path: string): URL {
  if (!URL.canParse(baseUrl)) throw new Inexpressible("The base URL is not a URL");
  const url = new URL(baseUrl);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Inexpressible("The base URL must begin with http:// or https://");
  url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
  return url;
}

/** The key as a header can carry it, or undefined when there is none. Pasted keys often end in a newline. */
export function headerKey(apiKey: string | undefined): string | undefined {
  const key = apiKey?.trim() ?? "";
  if (key === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Inexpressible("The API key holds characters that no key has");
  return key;
}

/** `options` over `body`; a null takes a key out, for servers that refuse it. */
export function withOptions(body: Readonly<Record<string, unknown>>, options: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...body, ...options }).filter(([, value]) => value !== null && value !== undefined));
}

const commonHeaders = {
  "content-type": "application/json",
  accept: "text/event-stream, application/json",
  // Compression holds deltas back.
  "accept-encoding": "identity",
  "user-agent": "steerable-sidecar",
};

/** `https://user:password@host` means basic authentication, unless a key takes its place. */
function login(url: URL): Record<string, string> {
  if (url.username === "" && url.password === "") return {};
  const password = decodeURIComponent(url.password);
  registerSecret(password);
  return { authorization: `Basic ${Buffer.from(`${decodeURIComponent(url.username)}:${password}`).toString("base64")}` };
}

function encodeBody(body: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(body);
  // Half a surrogate pair is written as an escape, which strict servers refuse.
  return /\\ud[89a-f]/.test(text)
    ? JSON.stringify(body, (_key, value: unknown) => (typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\uFFFD") : value))
    : text;
}

function failureOf(error: unknown): Failure {
  if (error instanceof Inexpressible) return { kind: "invalid_params", message: error.message };
  return { kind: "internal", message: "Something went wrong while talking to the model server" };
}
