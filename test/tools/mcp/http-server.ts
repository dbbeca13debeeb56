import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** An MCP server over streamable HTTP on 127.0.0.1, ended when the test is over. */
export interface HttpServer {
  url: string;
  /** Of every request, in their order. */
  seen: { method: string; headers: IncomingHttpHeaders }[];
  /** Sessions begun and not ended. */
  sessions: Set<string>;
  /** Tools that were called. */
  calls: string[];
  /** Sends a notification on the streams that clients have opened. */
  notify(method: string): void;
  /** Names of the tools. */
  tools: string[];
  /** Breaks every connection and listens no more. */
  stop(): Promise<void>;
}

export interface HttpServerOptions {
  /** Answers every request with this status. */
  status?: number;
  /** Of the answer to an unknown session. */
  unknownSession?: number;
  port?: number;
}

export async function startHttpServer(options: HttpServerOptions = {}): Promise<HttpServer> {
  const streams = new Set<ServerResponse>();
  const server: Omit<HttpServer, "url" | "stop"> = {
    seen: [],
    sessions: new Set(),
    calls: [],
    tools: ["echo", "stream", "cut", "hang", "giant", "giantStream"],
    notify(method) {
      for (const stream of streams) stream.write(event({ jsonrpc: "2.0", method }));
    },
  };
  let count = 0;

  const http = createServer(async (request, response) => {
    const session = String(request.headers["mcp-session-id"] ?? "");
    const body = await read(request);
    // Now, so that whoever sees a stream here can be sure that a notification goes to it.
    server.seen.push({ method: request.method ?? "", headers: request.headers });
    if (options.status !== undefined) return answer(response, options.status, "no");
    if (request.method === "DELETE") return answer(response, server.sessions.delete(session) ? 200 : 404, "");
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      streams.add(response);
      return response.once("close", () => streams.delete(response));
    }
    const { id, method, params } = JSON.parse(body);
    if (method === "initialize") {
      const fresh = `session-${++count}`;
      server.sessions.add(fresh);
      response.setHeader("mcp-session-id", fresh);
      return json(response, {
        jsonrpc: "2.0",
        id,
        result: { protocolVersion: "2025-06-18", capabilities: { tools: { listChanged: true } }, serverInfo: { name: "h", version: "1" } },
      });
    }
    if (!server.sessions.has(session)) return answer(response, options.unknownSession ?? 404, "no such session");
    if (id === undefined) return answer(response, 202, "");
    if (method === "tools/list")
      return json(response, { jsonrpc: "2.0", id, result: { tools: server.tools.map((name) => ({ name, inputSchema: { type: "object" } })) } });
    server.calls.push(params.name);
    callTool(params.name, { jsonrpc: "2.0", id, result: { content: [{ type: "text", text: JSON.stringify(params.arguments) }] } }, response);
  });

  await new Promise<void>((resolve) => http.listen(options.port ?? 0, "127.0.0.1", resolve));
  const stop = async () => {
    const closed = new Promise((resolve) => http.close(resolve));
    http.closeAllConnections();
    await closed;
  };
  onTestFinished(stop);
  return Object.assign(server, { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, stop });
}

function callTool(name: string, result: object, response: ServerResponse): void {
  const headers = { "content-type": "text/event-stream" };
  if (name === "hang") return;
  if (name === "echo") return json(response, result);
  if (name === "giant") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`{"jsonrpc":"2.0","x":"${"x".repeat(17 * 1024 * 1024)}"}`);
    return;
  }
  response.writeHead(200, headers).flushHeaders();
  if (name === "stream") response.end(event({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } }) + event(result));
  if (name === "cut") response.end(": nothing comes\n\n");
  if (name === "giantStream") for (let part = 0; part < 17; part++) response.write(`data: ${"x".repeat(1024 * 1024)}\n`);
}

function event(message: object): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}

function json(response: ServerResponse, value: object): void {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(text);
}

async function read(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return text;
}
