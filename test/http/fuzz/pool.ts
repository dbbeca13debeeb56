import type { Send, Sent } from "./client.ts";
import type { Seen } from "./description.ts";

/** Stand for the id of a session, or of a stream, until a request is sent: which there are is not known before. */
export const ANY_SESSION = "any-session";
export const ANY_STREAM = "any-stream";

const MOST_KEPT = 16;
const FEWEST_SESSIONS = 6;

/** How sessions are made, one way after the other. */
const beginnings: readonly [target: string, body: object][] = [
  ["/v1/sessions", {}],
  ["/v1/sessions", { model: "echo:any", alias: "one" }],
  ["/v1/sessions", { model: "anthropic:claude-test" }],
  ["/sessions", {}],
  ["/sessions", { provider: "echo" }],
];

/** Ids of the sessions and streams that there are. */
export class Pool {
  #sessions: string[] = [];
  #streams: string[] = [];
  #asked = 0;
  #made = 0;

  /** Makes what has been deleted anew. */
  async refill(send: Send): Promise<void> {
    const post = async (target: string, body: object) => {
      const sent = { method: "POST", target, headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(body)) };
      this.learn(sent, await send(sent));
    };
    while (this.#sessions.length < FEWEST_SESSIONS) await post(...beginnings[this.#made++ % beginnings.length]!);
    if (this.#streams.length > 0) return;
    const params = { streamId: "the-first", provider: "echo", messages: [{ role: "user", content: "one two three" }] };
    await post("/rpc", { jsonrpc: "2.0", id: 1, method: "agent.chat.stream", params });
  }

  /** Takes in the ids of an answer, and forgets the one of the address where nothing more can be had of it. */
  learn({ target, method }: Pick<Sent, "target" | "method">, { status, text }: Pick<Seen, "status" | "text">): void {
    const [, asked] = /\/sessions\/([^/?]+)/.exec(target) ?? [];
    const isDeleted = method === "DELETE" && status === 204 && /\/sessions\/[^/?]+(\?|$)/.test(target);
    if (isDeleted || /"code":"session_(not_found|closed)"/.test(text)) this.#sessions = this.#sessions.filter((id) => id !== asked);
    if (text.includes('"code":"stream_not_found"')) this.#streams = this.#streams.filter((id) => !target.includes(id));
    if (status !== 201 && !target.startsWith("/rpc")) return;
    for (const [, name, id = ""] of text.matchAll(/"(session_id|sessionId|id|streamId)":"([\w-]{1,128})"/g)) {
      if (name === "id" && target !== "/v1/sessions") continue;
      const ids = name === "streamId" ? this.#streams : this.#sessions;
      if (!ids.includes(id)) ids.push(id);
      if (ids.length > MOST_KEPT) ids.shift();
    }
  }

  /** A request with ids where it has places for them. */
  filled({ target, body }: Pick<Sent, "target" | "body">): Pick<Sent, "target" | "body"> {
    const next = (ids: readonly string[]) => ids[this.#asked++ % ids.length] ?? "";
    const fill = (text: string) => text.replaceAll(ANY_SESSION, () => next(this.#sessions)).replaceAll(ANY_STREAM, () => next(this.#streams));
    return { target: fill(target), body: body === undefined ? undefined : Buffer.from(fill(body.toString("latin1")), "latin1") };
  }
}
