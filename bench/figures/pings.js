import { fileURLToPath } from "node:url";
import { countdown, Peer } from "../peer.js";
import { readySidecar, request } from "../sidecar.js";
import { frames } from "../streams.js";
import { thousands } from "../table.js";
import { medianOf, takeTurns } from "../turns.js";

const REQUESTS = 100_000;
const IN_ONE_WRITE = 500;
const TURNS = 9;

/** Requests a second, sent without waiting for replies. */
export async function pings() {
  const requests = pipelined();
  const sidecar = await readySidecar();
  const minimal = new Peer([fileURLToPath(import.meta.resolve("../peers/minimal-rpc.js"))]);
  await minimal.lines(1);
  const contestants = { sidecar: () => perSecond(sidecar, requests), minimal: () => perSecond(minimal, requests) };
  // Both are judged warm.
  await takeTurns(1, contestants);
  const turns = await takeTurns(TURNS, contestants);
  return [
    {
      figure: "`system.ping`, pipelined",
      sidecar: `${thousands(medianOf(turns, (turn) => turn.sidecar))}/s`,
      against: `minimal parse-and-stringify loop: ${thousands(medianOf(turns, (turn) => turn.minimal))}/s`,
      comparison: `${medianOf(turns, (turn) => turn.sidecar / turn.minimal).toFixed(2)} ×`,
      goal: "≥ 0.6",
    },
  ];
}

function pipelined() {
  return Array.from({ length: REQUESTS / IN_ONE_WRITE }, (_, write) =>
    Buffer.from(Array.from({ length: IN_ONE_WRITE }, (_, index) => request(write * IN_ONE_WRITE + index, "system.ping")).join("")),
  );
}

async function perSecond(peer, requests) {
  const collected = peer.collect(countdown(REQUESTS));
  const started = performance.now();
  await peer.write(requests);
  const pieces = await collected;
  const seconds = (performance.now() - started) / 1000;
  frames(pieces).forEach((reply, index) => {
    if (reply.id !== index || reply.result?.status !== "ok") throw new Error(`request ${index} was answered with ${JSON.stringify(reply)}`);
  });
  return REQUESTS / seconds;
}
