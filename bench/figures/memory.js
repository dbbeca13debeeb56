import { setTimeout as delay } from "node:timers/promises";
import { bytesSent, startModelServer } from "../model-server.js";
import { Peer } from "../peer.js";
import { residentMemory, watchPeak } from "../resident.js";
import { call, readySidecar, request } from "../sidecar.js";
import { checkStreams, sidecarCalls, stream, terminals } from "../streams.js";
import { medianOf, takeTurns } from "../turns.js";

const TURNS = 5;
/** How long a process is left alone before its memory is read. */
const REST_MS = 1000;
/** 8 × 20,000 × 375 characters are 60 MB of text. */
const STREAMS = 8;
const MODEL = "text:20000:375";
/** The model server has been paused when it could send nothing for so long. */
const STALLED_MS = 1000;

/** Resident memory: idle, after a first turn of a session, and under a host that does not read. */
export async function memory() {
  const server = await startModelServer();
  const turns = await takeTurns(TURNS, { sidecar: () => lifeOfSidecar(server), bare: idleNode });
  const bare = `idle \`node\`: ${mebibytes(medianOf(turns, (turn) => turn.bare))}`;
  const over = (of) => `+${mebibytes(medianOf(turns, of))}`;
  const row = (figure, of, against, difference, goal) => ({ figure, sidecar: mebibytes(medianOf(turns, of)), against, comparison: over(difference), goal });
  return [
    row(
      "memory, idle",
      (turn) => turn.sidecar.idle,
      bare,
      (turn) => turn.sidecar.idle - turn.bare,
      "≤ 15 MiB",
    ),
    row(
      "memory, after a session's first turn (`echo`)",
      (turn) => turn.sidecar.used,
      bare,
      (turn) => turn.sidecar.used - turn.bare,
      "",
    ),
    row(
      "memory, peak while 60 MB are streamed at a host that does not read",
      (turn) => turn.sidecar.unread,
      "itself idle",
      (turn) => turn.sidecar.unread - turn.sidecar.idle,
      "< 64 MiB",
    ),
    row(
      "memory, peak once that host reads it all",
      (turn) => turn.sidecar.read,
      "itself idle",
      (turn) => turn.sidecar.read - turn.sidecar.idle,
      "",
    ),
  ];
}

async function idleNode() {
  const node = new Peer(["-e", "setInterval(() => {}, 1e6)"]);
  await delay(REST_MS);
  const resident = residentMemory(node.pid);
  await node.kill();
  return resident;
}

async function lifeOfSidecar(server) {
  const sidecar = await readySidecar();
  await delay(REST_MS);
  const idle = residentMemory(sidecar.pid);
  const used = await afterFirstTurn();
  return { idle, used, ...(await flooded(server)) };

  async function afterFirstTurn() {
    const { sessionId } = await call(sidecar, "agent.session.create", {});
    await stream(sidecar, [request(2, "agent.chat.stream", { provider: "echo", sessionId, messages: [{ role: "user", content: "Hello" }] })]);
    await delay(REST_MS);
    const resident = residentMemory(sidecar.pid);
    await sidecar.kill();
    return resident;
  }
}

async function flooded(server) {
  const sidecar = await readySidecar();
  const peak = watchPeak(sidecar.pid);
  sidecar.child.stdout.pause();
  await sidecar.write(sidecarCalls(server.baseUrl, MODEL, STREAMS));
  await untilStalled(server);
  const unread = peak();
  checkStreams(await sidecar.collect(terminals(STREAMS)), MODEL, STREAMS);
  const read = peak();
  await sidecar.kill();
  return { unread, read };
}

/** Waits until the model server has begun to send, and then can send nothing more for a while. */
async function untilStalled(server) {
  const before = await bytesSent(server);
  let last = before;
  let since = performance.now();
  while (last === before || performance.now() - since < STALLED_MS) {
    await delay(50);
    const now = await bytesSent(server);
    if (now === last && performance.now() - since > 30 * STALLED_MS) throw new Error("the model server was never asked");
    if (now === last) continue;
    last = now;
    since = performance.now();
  }
}

function mebibytes(value) {
  return `${value.toFixed(1)} MiB`;
}
