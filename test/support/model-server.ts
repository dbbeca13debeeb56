import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

/**
 * A model server on a raw socket of 127.0.0.1: tests decide about every byte that it answers with,
 * and about when and how its connections end.
 *
 *     const server = await startModelServer((request, answer) => answer.sse(openaiStream(["Hi"])));
 *     … baseUrl: `${server.url}/v1` …
 *     await server.close();
 */
export interface ModelServer {
  /** `http://127.0.0.1:<port>`, or `https://` with `tls`. */
  readonly url: string;
  readonly port: number;
  /** In the order in which they arrived. */
  readonly requests: readonly SeenRequest[];
  /** Connections accepted so far; with `tls`, those whose handshake was completed. */
  readonly connections: number;
  /** Resolves with the next request that has not been awaited yet; the first call gives the first request. */
  nextRequest(): Promise<SeenRequest>;
  /** Destroys every connection and stops listening. */
  close(): Promise<void>;
}

export interface SeenRequest {
  method: string;
  path: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
  /** The body parsed; undefined where it is not JSON. */
  json: unknown;
  /** Resolves when the connection that it came on is closed, whoever closed it. */
  closed: Promise<void>;
}

/** What a handler answers with. Every method that writes resolves once the kernel has taken the bytes. */
export interface Answer {
  /** These bytes and nothing else: no head, no framing. */
  raw(bytes: string | Uint8Array): Promise<void>;
  /** Status line and headers; the body is chunked unless `headers` say otherwise. */
  head(status: number, headers?: Record<string, string>): Promise<void>;
  /** One HTTP chunk, written on its own. */
  chunk(bytes: string | Uint8Array): Promise<void>;
  /** The last chunk: the connection stays open for the next request. */
  end(): Promise<void>;
  /** A whole event stream: head, one chunk for each part, end. */
  sse(parts: readonly (string | Uint8Array)[], options?: { headers?: Record<string, string> }): Promise<void>;
  /** A whole response with a Content-Length; objects become JSON. */
  respond(status: number, body: unknown, headers?: Record<string, string>): Promise<void>;
  /** Ends the connection in order (FIN). */
  close(): void;
  /** Breaks the connection (RST). */
  reset(): void;
}

/** Never answering is allowed: a handler that returns without writing hangs the request. */
export type Handler = (request: SeenRequest, answer: Answer) => void | Promise<void>;

export interface ModelServerOptions {
  /** PEM texts. */
  tls?: { key: string; cert: string };
}

export async function startModelServer(handler: Handler, options: ModelServerOptions = {}): Promise<ModelServer> {
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const waiting: ((request: SeenRequest) => void)[] = [];
  let connections = 0;
  let taken = 0;

  const onSocket = (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.setNoDelay(true);
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.once("close", () => sockets.delete(socket));
    // Clients break connections on purpose here.
    socket.on("error", () => undefined);
    readRequests(socket, (parts) => {
      const request = { ...parts, json: parseJson(parts.body), closed };
      requests.push(request);
      const next = waiting.shift();
      if (next !== undefined) {
        taken++;
        next(request);
      }
      // A write after the client has gone is part of what is tested.
      Promise.resolve(handler(request, answerOn(socket))).catch(() => socket.destroy());
    });
  };

  const server = options.tls === undefined ? createTcpServer(onSocket) : createTlsServer(options.tls, onSocket);
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    port,
    requests,
    get connections() {
      return connections;
    },
    nextRequest() {
      const seen = requests[taken];
      if (seen === undefined) return new Promise((resolve) => waiting.push(resolve));
      taken++;
      return Promise.resolve(seen);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export interface OpenAiStreamOptions {
  /** `stop`; null leaves it out. */
  finishReason?: string | null;
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | undefined;
  /** Whether `data: [DONE]` ends it; true when left out. */
  done?: boolean;
}

/**
 * A chat completion as a server streams it, one SSE event for each part: text becomes a content
 * delta, an object is the delta itself (`{ reasoning_content: … }`, `{ tool_calls: […] }`).
 */
export function openaiStream(parts: readonly (string | object)[], { finishReason = "stop", usage, done = true }: OpenAiStreamOptions = {}): string[] {
  const chunk = (choices: object[], more: object = {}) =>
    `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_767_261_600, model: "test-model", choices, ...more })}\n\n`;
  return [
    chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]),
    ...parts.map((part) => chunk([{ index: 0, delta: typeof part === "string" ? { content: part } : part, finish_reason: null }])),
    ...(finishReason === null ? [] : [chunk([{ index: 0, delta: {}, finish_reason: finishReason }])]),
    ...(usage === undefined ? [] : [chunk([], { usage })]),
    ...(done ? ["data: [DONE]\n\n"] : []),
  ];
}

/** One event of such a stream: a piece of the text. */
export const openaiDelta = (text: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`;

export type AnthropicPart =
  | string
  | { thinking: string }
  /** `fragments` are the pieces of its JSON arguments. */
  | { toolUse: { id: string; name: string; fragments: readonly string[] } };

export interface AnthropicStreamOptions {
  /** `end_turn`; null leaves out its event. */
  stopReason?: string | null;
  usage?: Record<string, number>;
  outputTokens?: number;
  /** Whether `message_stop` ends it; true when left out. */
  stop?: boolean;
}

/** A message as the Messages API streams it, one SSE event for each step; every part is a content block, and neighbouring texts share one. */
export function anthropicStream(
  parts: readonly AnthropicPart[],
  { stopReason = "end_turn", usage = { input_tokens: 10, output_tokens: 1 }, outputTokens = 5, stop = true }: AnthropicStreamOptions = {},
): string[] {
  const events: string[] = [];
  const send = (type: string, more: object = {}) => events.push(`event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`);
  let index = -1;
  let open: string | undefined;
  const block = (kind: string, start: object) => {
    if (open === "text" && kind === "text") return;
    if (open !== undefined) send("content_block_stop", { index });
    index++;
    open = kind;
    send("content_block_start", { index, content_block: start });
  };

  send("message_start", {
    message: { id: "msg_1", type: "message", role: "assistant", model: "test-model", content: [], stop_reason: null, usage },
  });
  send("ping");
  for (const part of parts) {
    if (typeof part === "string") {
      block("text", { type: "text", text: "" });
      send("content_block_delta", { index, delta: { type: "text_delta", text: part } });
    } else if ("thinking" in part) {
      block("thinking", { type: "thinking", thinking: "" });
      send("content_block_delta", { index, delta: { type: "thinking_delta", thinking: part.thinking } });
    } else {
      const { id, name, fragments } = part.toolUse;
      block("tool_use", { type: "tool_use", id, name, input: {} });
      for (const partial_json of fragments) send("content_block_delta", { index, delta: { type: "input_json_delta", partial_json } });
    }
  }
  if (open !== undefined) send("content_block_stop", { index });
  if (stopReason !== null) send("message_delta", { delta: { stop_reason: stopReason, stop_sequence: null }, usage: { output_tokens: outputTokens } });
  if (stop) send("message_stop");
  return events;
}

type RequestParts = Omit<SeenRequest, "json" | "closed">;

/** Reads requests with a Content-Length, one after the other. */
function readRequests(socket: Socket, onRequest: (request: RequestParts) => void): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    pending = Buffer.concat([pending, data]);
    for (;;) {
      const headEnd = pending.indexOf("\r\n\r\n");
      if (headEnd === -1) return;
      const [requestLine = "", ...lines] = pending.subarray(0, headEnd).toString("latin1").split("\r\n");
      const headers = Object.fromEntries(
        lines.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
      );
      const bodyEnd = headEnd + 4 + Number(headers["content-length"] ?? 0);
      if (pending.length < bodyEnd) return;
      const [method = "", path = ""] = requestLine.split(" ");
      const body = pending.subarray(headEnd + 4, bodyEnd).toString("utf8");
      pending = pending.subarray(bodyEnd);
      onRequest({ method, path, headers, body });
    }
  });
}

function answerOn(socket: Socket): Answer {
  const raw = (bytes: string | Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  const answer: Answer = {
    raw,
    head(status, headers = { "content-type": "text/event-stream", "transfer-encoding": "chunked" }) {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      return raw(`HTTP/1.1 ${status} Status\r\n${lines.join("")}\r\n`);
    },
    chunk(bytes) {
      const body = Buffer.from(bytes);
      return raw(Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]));
    },
    end: () => raw("0\r\n\r\n"),
    async sse(parts, { headers = {} } = {}) {
      await answer.head(200, { "content-type": "text/event-stream", "transfer-encoding": "chunked", ...headers });
      for (const part of parts) await answer.chunk(part);
      await answer.end();
    },
    respond(status, body, headers = {}) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const type = typeof body === "string" ? "text/plain" : "application/json";
      const lines = Object.entries({ "content-type": type, "content-length": String(Buffer.byteLength(text)), ...headers }).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      );
      return raw(`HTTP/1.1 ${status} Status\r\n${lines.join("")}\r\n${text}`);
    },
    close: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
  };
  return answer;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
