import type { LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import request from "undici/lib/api/api-request.js";
import Agent from "undici/lib/dispatcher/agent.js";
import { connectionFailure } from "../../../providers/faults.ts";
import { compileParser } from "../../../providers/parser.ts";
import { ToolFailure } from "../../tool.ts";
import { type Address, addressesOf, type Reach } from "./reach.ts";

export type Reply = Pick<Dispatcher.ResponseData, "statusCode" | "headers" | "body">;

/** The connections of one call: to addresses that were checked, and through no proxy. */
export interface Connections {
  /** Sends one request; redirects are replies like others. Throws a `ToolFailure`, or the reason of the signal. */
  send(url: URL, method: "GET" | "HEAD", headers: Readonly<Record<string, string>>): Promise<Reply>;
  close(): Promise<void>;
}

export function openConnections(reach: Reach, signal: AbortSignal): Connections {
  compileParser();
  const checked = new Map<string, readonly Address[]>();
  const agent = new Agent({
    connect: { lookup: lookUpIn(checked), timeout: CONNECT_TIMEOUT_MS, maxCachedSessions: 0 },
    // The deadline is that of the call.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async send(url, method, headers) {
      checked.set(url.hostname, await addressesOf(url, reach, signal));
      try {
        const reply = await request.call(agent, { origin: url.origin, path: url.pathname + url.search, method, headers: { ...headers }, signal });
        // Who reads the body hears of its errors; for a body that nobody reads, none may end the process.
        reply.body.on("error", () => undefined);
        return reply;
      } catch (error) {
        signal.throwIfAborted();
        throw new ToolFailure(connectionFailure(error, url, false).message);
      }
    },
    close: () => agent.destroy(),
  };
}

const CONNECT_TIMEOUT_MS = 10_000;

/** Answers with the addresses that were checked, and never asks the system again. */
function lookUpIn(checked: ReadonlyMap<string, readonly Address[]>): LookupFunction {
  return (hostname, options, callback) => {
    const addresses = checked.get(hostname) ?? [];
    const [first] = addresses;
    if (first === undefined) callback(Object.assign(new Error("The name was not checked"), { code: "ENOTFOUND" }), "", 0);
    else if (options.all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
}
