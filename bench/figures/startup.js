import { countdown, Peer } from "../peer.js";
import { request, spawnSidecar, warmCodeCache } from "../sidecar.js";
import { medianOf, takeTurns } from "../turns.js";

const PAIRS = 40;

/** From spawn to the first reply, the request being written at once, over a Node that does nothing. */
export async function startup() {
  await warmCodeCache([]);
  const turns = await takeTurns(PAIRS, { sidecar: untilFirstReply, bare: untilExit });
  return [
    {
      figure: "start: spawn to first `system.ping` reply",
      sidecar: `${medianOf(turns, (turn) => turn.sidecar).toFixed(1)} ms`,
      against: `\`node -e 0\`, spawn to exit: ${medianOf(turns, (turn) => turn.bare).toFixed(1)} ms`,
      comparison: `${medianOf(turns, (turn) => turn.sidecar / turn.bare).toFixed(2)} ×`,
      goal: "≤ 1.35 (Node 20)",
    },
  ];
}

async function untilFirstReply() {
  const started = performance.now();
  const sidecar = spawnSidecar();
  // lifecycle.ready is the first line.
  const answered = sidecar.collect(countdown(2));
  await sidecar.write([request(1, "system.ping")]);
  const pieces = await answered;
  const ms = performance.now() - started;
  await sidecar.kill();
  const [, line] = Buffer.concat(pieces).toString("utf8").split("\n");
  if (JSON.parse(line).result?.status !== "ok") throw new Error(`the ping was answered with ${line}`);
  return ms;
}

async function untilExit() {
  const started = performance.now();
  await new Peer(["-e", "0"]).ended();
  return performance.now() - started;
}
