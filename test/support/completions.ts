import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EventSource } from "eventsource";
import { expect, onTestFinished } from "vitest";
import { type Answer, type Asking, askerOf, type HttpSidecar, spawnHttp } from "./http.ts";
import { keyOf } from "./keys.ts";
import type { ModelServer } from "./model-server.ts";
import { temporaryFolder } from "./sidecar.ts";

/** The key that the configuration has for the model server. */
export const MODEL_KEY = "key-of-the-model-server";

export interface Configured {
  /** Asked where nobody says otherwise, as `openai:test-model`. */
  model?: ModelServer;
  /** What else stands in the file. */
  config?: Record<string, unknown> & { providers?: Record<string, object> };
  args?: string[];
}

/** A sidecar with a listener and a configuration file; how many requests come is not limited. */
export async function spawnConfigured({ model, config = {}, args = [] }: Configured = {}): Promise<HttpSidecar> {
  const folder = temporaryFolder();
  const openai = { ...(model === undefined ? {} : { baseUrl: `${model.url}/v1`, apiKey: MODEL_KEY }), retry: { attempts: 1 }, ...config.providers?.["openai"] };
  const file = { ...(model === undefined ? {} : { model: "openai:test-model" }), ...config, providers: { ...config.providers, openai } };
  // JSON is YAML.
  writeFileSync(join(folder, "config.yaml"), JSON.stringify(file));
  return spawnHttp({ args: ["--config", join(folder, "config.yaml"), "--rate-limit", "0", ...args] });
}

/** The beginning of every PNG file, which is enough to be taken for one. */
export const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");

/** A folder that tools and attachments may read. */
export function workspace(): { folder: string; config: Record<string, unknown> } {
  const outer = temporaryFolder();
  const folder = join(outer, "workspace");
  mkdirSync(folder);
  writeFileSync(join(outer, "secret.txt"), "canary");
  writeFileSync(join(folder, "note.md"), "# Plan\n");
  writeFileSync(join(folder, "shot.png"), PNG);
  return { folder, config: { tools: { builtin: ["read_file"], roots: [folder], fetch: { allowPrivate: true } } } };
}

/** Requests of a subject of `keysFor`. */
export const as = ({ url }: HttpSidecar, subject: string) => askerOf(url, keyOf(subject));

/** The answer is this error, in the body that all errors have. */
export function expectError({ status, headers, body }: Answer, expected: number, code: string, message: unknown = expect.any(String)): void {
  expect({ status, body }).toEqual({ status: expected, body: { error: { code, message, request_id: headers["x-request-id"] } } });
  expect(headers).toMatchObject({ "content-type": "application/json; charset=utf-8", "x-request-id": expect.stringMatching(UUID) });
}

/** A session as it is read. */
export interface Session {
  id: string;
  messages: { id: string; role: string; content: string; partial: boolean }[];
  next_cursor: string | null;
}

type Caller = Pick<HttpSidecar, "call">;

/** Creates one; gives its id. */
export async function newSession({ call }: Caller, body: object = {}): Promise<string> {
  const answer = await call<Session>("POST", "/v1/sessions", { body });
  expect(answer.status).toBe(201);
  return answer.body.id;
}

/** One prompt, answered in one piece. */
export const say = ({ call }: Caller, id: string, prompt: string, more: object = {}) =>
  call<{ final_message: string; session_id: string }>("POST", `/v1/sessions/${id}/completions`, { body: { prompt, ...more } });

export const messagesIn = async ({ call }: Caller, id: string) => (await call<Session>("GET", `/v1/sessions/${id}`)).body.messages;

export const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** Data of an event, with whatever its name stands for. */
export interface EventData {
  request_id: string;
  session_id: string | null;
  text: string;
  id: string;
  name: string;
  args: string;
  result: string;
  is_error: boolean;
  outcome: object;
  error: { code: string; message: string; request_id: string };
}
export type SeenEvent = [name: string, data: Partial<EventData>];

const names = ["started", "assistant_delta", "tool_call", "tool_result", "finished", "error"];

export interface Reading {
  headers?: Record<string, string>;
  /** Called with each event as it comes. */
  onEvent?(event: SeenEvent): void;
}

/** Posts a prompt and reads the stream with a public client, up to where the server closes it. */
export async function readEvents({ url, token }: HttpSidecar, path: string, body: object, { headers = {}, onEvent }: Reading = {}): Promise<SeenEvent[]> {
  const seen: SeenEvent[] = [];
  const source = new EventSource(`${url}${path}`, {
    fetch: (address, init) =>
      fetch(address, {
        ...init,
        method: "POST",
        headers: { ...init.headers, authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
  });
  onTestFinished(() => source.close());
  await new Promise<void>((resolve, reject) => {
    for (const name of names) {
      source.addEventListener(name, (event) => {
        // An event of the server's that is named `error` has data; what the client says of the connection has none.
        if (!("data" in event)) return;
        const read: SeenEvent = [name, JSON.parse(String(event.data))];
        seen.push(read);
        onEvent?.(read);
      });
    }
    source.addEventListener("message", () => reject(new Error("an event without a name")));
    source.addEventListener("error", (event) => {
      if ("data" in event) return;
      if (event.code !== undefined) reject(new Error(`${event.code} ${event.message ?? ""}`));
      else resolve();
    });
  });
  source.close();
  return seen;
}

/** Deltas that follow each other become one. */
export function merged(events: readonly SeenEvent[]): SeenEvent[] {
  return events.reduce<SeenEvent[]>((all, [name, data]) => {
    const last = all.at(-1);
    if (name === "assistant_delta" && last?.[0] === name) all[all.length - 1] = [name, { text: `${last[1].text}${data.text}` }];
    else all.push([name, data]);
    return all;
  }, []);
}

/** A stream whose bytes the test reads itself, and which it may leave. */
export async function openStream(asker: Pick<HttpSidecar, "open">, path: string, body: object, asking: Asking = {}) {
  const request = asker.open("POST", path, { ...asking, body: { ...body, stream: true } });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { request, response };
}

/** The rest of a response; `isWhole` is false when the connection broke. */
export async function restOf(response: IncomingMessage): Promise<{ text: string; isWhole: boolean }> {
  let text = "";
  response.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const isWhole = await new Promise<boolean>((resolve) => {
    response.once("end", () => resolve(true));
    response.once("error", () => resolve(false));
    response.once("close", () => resolve(false));
  });
  return { text, isWhole };
}
