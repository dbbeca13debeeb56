/**
 * The least that a JSON-RPC server over stdin and stdout can do: split lines, parse, stringify a reply
 * of the size of a real one, one write for each piece of input.
 */
const health = {
  status: "ok",
  version: "0.1.0",
  protocolVersion: "0.1.0",
  uptimeMs: 12345,
  pid: process.pid,
  platform: `${process.platform}-${process.arch}`,
  loadedProviders: [],
  loadedTools: 0,
  activeTraces: 0,
  checks: { runtime: { status: "ok", message: `node ${process.versions.node}` } },
};

process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", method: "lifecycle.ready" })}\n`);

let rest = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  let out = "";
  for (const line of lines) out += `${JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result: health })}\n`;
  if (out !== "") process.stdout.write(out);
});
