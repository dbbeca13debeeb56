import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { McpServer } from "../../contract/config.ts";
import { atMost } from "../waiting.ts";
import { MOST_BYTES, McpTransportError, NO_ANSWER } from "./stdio.ts";

/** The client library, which is loaded on first use. */
export type Library = typeof import("@modelcontextprotocol/client");

type SendOptions = Parameters<InstanceType<Library["StreamableHTTPClientTransport"]>["send"]>[1];

/** A server that is reached over HTTP. */
export type RemoteServer = McpServer & { url: string };

/** How long a server has to take note that its session is over. */
const GOODBYE_MS = 500;

/** The transport to an `http` or `sse` server: that of the library, with bounds and with an end for every request. */
export function remoteTransport(library: Library, server: RemoteServer): Transport {
  const options = { requestInit: { headers: server.headers }, fetch: boundedFetch };
  return server.type === "sse" ? new library.SSEClientTransport(new URL(server.url), options) : streamable(library, new URL(server.url), options);
}

function streamable(library: Library, url: URL, options: ConstructorParameters<Library["StreamableHTTPClientTransport"]>[1]): Transport {
  const pending = new Set<string | number>();

  /** The library waits for an answer even when the response that should carry it has ended. */
  class Streamable extends library.StreamableHTTPClientTransport {
    override async send(message: JSONRPCMessage, sendOptions?: SendOptions): Promise<void> {
      if (!("method" in message) || !("id" in message)) return await super.send(message, sendOptions);
      const { id } = message;
      pending.add(id);
      const onRequestStreamEnd = () => {
        sendOptions?.onRequestStreamEnd?.();
        if (pending.delete(id)) this.onmessage?.({ jsonrpc: "2.0", id, error: { code: NO_ANSWER, message: "the connection ended before the answer" } });
      };
      await super.send(message, { ...sendOptions, onRequestStreamEnd });
    }

    override async close(): Promise<void> {
      // A session that could not be ended is ended by the server, some time.
      await atMost(this.terminateSession(), GOODBYE_MS);
      await super.close();
    }
  }

  // The client calls a handler that it finds there before its own.
  return Object.assign(new Streamable(url, options), {
    onmessage(message: JSONRPCMessage) {
      if ("id" in message && !("method" in message) && message.id !== undefined) pending.delete(message.id);
    },
  });
}

/** Nothing that a server sends is held beyond the longest line that a program may send. */
async function boundedFetch(url: string | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (response.body === null) return response;
  const eachEvent = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  return new Response(response.body.pipeThrough(bounded(eachEvent)), response);
}

/** Fails the body when it, or one event of it, is too long. */
function bounded(eachEvent: boolean): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  // The empty line that ends an event may come in two chunks.
  let before: Uint8Array = new Uint8Array();
  return new TransformStream({
    transform(chunk, controller) {
      const seen = Buffer.concat([before, chunk]);
      const end = eachEvent ? Math.max(...emptyLines.map((line) => seen.lastIndexOf(line))) : -1;
      bytes = end === -1 ? bytes + chunk.length : seen.length - end;
      before = Uint8Array.prototype.slice.call(seen, -3);
      if (bytes > MOST_BYTES) controller.error(new McpTransportError(`the server sent a message longer than ${MOST_BYTES} bytes`));
      else controller.enqueue(chunk);
    },
  });
}

const emptyLines = ["\n\n", "\r\n\r\n", "\r\r"];
