/**
 * An MCP server in raw JSON-RPC lines that misbehaves when it is told to:
 *
 *     node fake-server.mjs '{"record": "<file that each start is written to>", …}'
 *
 * `exitAtStart`: code, or "count" for the number of the start; `failedStarts`: so many first starts exit with code 1; `silent`: answers nothing; `deaf`: reads nothing; `slowMs`: before each answer;
 * `tools`: its list instead of the usual one; `pages`: pages of one tool each, -1 for no end;
 * `greeting`: printed first; `exitAfterList`: ends when it has listed its tools.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

const options = JSON.parse(process.argv[2] ?? "{}");
if (options.record) appendFileSync(options.record, `${process.pid}\n`);
const starts = options.record ? readFileSync(options.record, "utf8").trim().split("\n").length : 0;
if (starts > 0 && starts <= options.failedStarts) process.exit(1);
if (options.stderr) process.stderr.write(`${options.stderr}\n`);
if (options.exitAtStart !== undefined) process.exit(options.exitAtStart === "count" ? starts : options.exitAtStart);
if (options.greeting) process.stdout.write(options.greeting);

const schema = { type: "object" };
const usual = "echo fail die dieAfterAnswer progress stopReading hang grow garbage giant ask env image pid refuse bare floodPing cancelled".split(" ");
let tools = options.tools ?? usual.map((name) => ({ name, inputSchema: schema }));
const cancelled = [];

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
const text = (value) => ({ content: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }] });
let asked = 0;
const answers = new Map();

const called = {
  echo: (args) => text(args),
  fail: () => ({ ...text("no such luck"), isError: true }),
  die: () => process.exit(7),
  dieAfterAnswer: () => {
    setImmediate(() => process.exit(0));
    return text("last words");
  },
  progress: (_, id) => {
    setInterval(() => send({ method: "notifications/progress", params: { progressToken: id, progress: Date.now() } }), 20);
    return undefined;
  },
  stopReading: () => {
    process.stdin.pause();
    return text("deaf from now on");
  },
  hang: () => undefined,
  grow: ({ name }) => {
    tools = [...tools, { name, inputSchema: schema }];
    // More than once, as servers do that add several.
    for (let count = 0; count < 20; count++) send({ method: "notifications/tools/list_changed" });
    return text("grown");
  },
  garbage: () => {
    process.stdout.write('hello\n\n{"jsonrpc":\n[]\n42\nnull\n{"foo":1}\n{"jsonrpc":"2.0","id":99999,"result":{}}\n\xff\xfe\n');
    process.stdout.write(`${"[".repeat(100_000)}${"]".repeat(100_000)}\n`);
    return text("after garbage");
  },
  giant: () => {
    // In parts: one string of this size would be the server's memory, not ours.
    const part = "x".repeat(1024 * 1024);
    process.stdout.write('{"jsonrpc":"2.0","id":0,"result":{"content":[{"type":"text","text":"');
    for (let count = 0; count < 17; count++) process.stdout.write(part);
    process.stdout.write('"}]}}\n');
    return undefined;
  },
  ask: async ({ method }) => {
    const id = `ask-${++asked}`;
    const answered = new Promise((resolve) => answers.set(id, resolve));
    send({ id, method, params: method === "sampling/createMessage" ? { messages: [], maxTokens: 1 } : {} });
    return text(await answered);
  },
  env: () => text(process.env),
  image: ({ bytes }) => ({
    content: [
      { type: "text", text: "see" },
      { type: "image", mimeType: "image/png", data: "A".repeat(bytes) },
    ],
    structuredContent: { a: 1 },
  }),
  pid: () => text(String(process.pid)),
  refuse: (_, id) => send({ id, error: { code: -32602, message: "no, not with these" } }),
  bare: (_, id) => send({ id, result: { content: "not a list" } }),
  floodPing: () => {
    process.stdin.pause();
    const flood = () => {
      for (let count = 0; count < 5000; count++) send({ id: `p${count}`, method: "ping", params: {} });
      setTimeout(flood, 5);
    };
    flood();
    return undefined;
  },
  cancelled: () => text(cancelled),
};

const methods = {
  initialize: () => ({ protocolVersion: "2025-06-18", capabilities: { tools: { listChanged: true } }, serverInfo: { name: "fake", version: "1" } }),
  "tools/list": ({ cursor }) => {
    if (options.exitAfterList) setImmediate(() => process.exit(3));
    if (options.pages === undefined) return { tools };
    const page = Number(cursor ?? 0);
    return { tools: [{ name: `tool${page}`, inputSchema: schema }], ...(page + 1 === options.pages ? {} : { nextCursor: String(page + 1) }) };
  },
  ping: () => ({}),
  "tools/call": ({ name, arguments: args }, id) => called[name]?.(args, id),
};

if (options.deaf) setInterval(() => undefined, 1000);
else {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { id, method, params, result, error } = JSON.parse(line);
    if (options.silent) return;
    if (method === undefined) return answers.get(id)?.(error ?? result);
    if (method === "notifications/cancelled") cancelled.push(params);
    if (id === undefined) return;
    if (options.slowMs) await delay(options.slowMs);
    const answer = await methods[method]?.(params ?? {}, id);
    if (answer !== undefined && typeof answer === "object") send({ id, result: answer });
  });
}
