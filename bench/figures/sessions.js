import { countdown } from "../peer.js";
import { call, readySidecar, request } from "../sidecar.js";
import { frames } from "../streams.js";
import { medianOf, percentile, takeTurns } from "../turns.js";

const SIZES = [100, 10_000, 100_000];
/** Requests in flight while a database is filled; together they share the flushes of the disk. */
const IN_FLIGHT = 5_000;
const TURNS = 25;
/** Calls of each kind in one turn, one after the other: few, so that the turns follow each other closely. */
const CALLS = 10;
const LISTED = 50;

/** What a call on sessions costs in a database that holds many of them. */
export async function sessions() {
  const contestants = {};
  for (const size of SIZES) {
    const sidecar = await readySidecar();
    const ids = await fill(sidecar, size);
    contestants[size] = () => costs(sidecar, ids);
  }
  await takeTurns(1, contestants);
  const turns = await takeTurns(TURNS, contestants);
  const [small, ...larger] = SIZES;
  const row = (kind, size) => ({
    figure: `\`agent.session.${kind}\`${kind === "list" ? ` (${LISTED})` : ""} among ${size.toLocaleString("en")} sessions`,
    sidecar: milliseconds(medianOf(turns, (turn) => turn[size][kind])),
    against: `among ${small}: ${milliseconds(medianOf(turns, (turn) => turn[small][kind]))}`,
    comparison: `${medianOf(turns, (turn) => turn[size][kind] / turn[small][kind]).toFixed(2)} ×`,
    goal: "flat (1 ×)",
  });
  return ["create", "resume", "list"].flatMap((kind) => larger.map((size) => row(kind, size)));
}

/** Creates sessions over the wire; resolves with their ids. */
async function fill(sidecar, count) {
  const ids = [];
  while (ids.length < count) {
    const wave = Math.min(IN_FLIGHT, count - ids.length);
    const collected = sidecar.collect(countdown(wave));
    await sidecar.write([
      Array.from({ length: wave }, (_, index) => request(index, "agent.session.create", { chatId: `chat-${ids.length + index}` })).join(""),
    ]);
    for (const reply of frames(await collected)) {
      if (reply.result === undefined) throw new Error(`a session was not created: ${JSON.stringify(reply)}`);
      ids.push(reply.result.sessionId);
    }
  }
  return ids;
}

/** Milliseconds of a call of each kind; the median, because a flush of the disk has its own moods. */
async function costs(sidecar, ids) {
  const made = [];
  const create = await each(async () => {
    made.push((await call(sidecar, "agent.session.create", { chatId: "bench" })).sessionId);
  });
  const resume = await each(() => call(sidecar, "agent.session.resume", { sessionId: ids[Math.floor(Math.random() * ids.length)] }));
  const list = await each(async () => {
    const listed = await call(sidecar, "agent.session.list", { limit: LISTED });
    if (listed.length !== LISTED) throw new Error(`${listed.length} sessions were listed`);
  });
  // The next turn finds as many sessions as this one.
  for (const sessionId of made) await call(sidecar, "agent.session.delete", { sessionId });
  return { create, resume, list };
}

async function each(run) {
  const times = [];
  for (let index = 0; index < CALLS; index++) {
    const started = performance.now();
    await run();
    times.push(performance.now() - started);
  }
  return percentile(times, 50);
}

function milliseconds(value) {
  return `${value.toFixed(2)} ms`;
}
