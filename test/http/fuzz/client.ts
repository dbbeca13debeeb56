import { Agent, request as ask } from "node:http";
import { onTestFinished } from "vitest";
import type { Seen } from "./description.ts";

export interface Sent {
  method: string;
  /** Path and query, as they go over the wire. */
  target: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
}

export type Send = (sent: Sent) => Promise<Seen>;

/** Longest wait for an answer; only a test that fails takes this long. */
const PATIENCE_MS = 60_000;

/** Asks over connections that stay open, with a key. They are closed with the test. */
export function client(url: string, key: string | undefined): Send {
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const { hostname, port } = new URL(url);
  const authorization: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return ({ method, target, headers, body }) =>
    new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const length = body === undefined ? {} : { "content-length": String(body.length) };
      // `path` as it is: a URL would tidy it up.
      const request = ask({ agent, hostname, port, method, path: target, headers: { ...authorization, ...length, ...headers }, signal });
      request.once("error", (error) => reject(new Error(`${method} ${target}: ${error.message}`, { cause: error })));
      request.once("response", (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.once("error", reject);
        response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(parts).toString("utf8") }));
      });
      request.end(body);
    });
}
