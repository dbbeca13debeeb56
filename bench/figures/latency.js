import { startModelServer } from "../model-server.js";
import { clock } from "../peers/answers.js";
import { readySidecar } from "../sidecar.js";
import { frames, relayCalls, sidecarCalls, startMinimalRelay } from "../streams.js";
import { percentile, takeTurns } from "../turns.js";

const DELTAS = 500;
const EVERY_MS = 4;
const MODEL = `ticks:${DELTAS}:${EVERY_MS}`;
/** Not counted: the first deltas of a stream are held back on purpose, and wait for what is loaded on first use. */
const FIRST = 50;
const TURNS = 5;

/** From the model server's write to the host's read, for deltas that come one by one. */
export async function latency() {
  const server = await startModelServer();
  const sidecar = await readySidecar();
  const minimal = await startMinimalRelay(server.baseUrl);
  const contestants = {
    sidecar: () => latencies(sidecar, sidecarCalls(server.baseUrl, MODEL, 1)),
    minimal: () => latencies(minimal, relayCalls(MODEL, 1)),
  };
  // Both are judged warm.
  await takeTurns(1, contestants);
  const turns = await takeTurns(TURNS, contestants);
  const ofSidecar = turns.flatMap((turn) => turn.sidecar);
  const ofMinimal = turns.flatMap((turn) => turn.minimal);
  return [50, 99].map((percent) => {
    const [ours, theirs] = [percentile(ofSidecar, percent), percentile(ofMinimal, percent)];
    return {
      figure: `latency per delta, p${percent}`,
      sidecar: `${ours.toFixed(2)} ms`,
      against: `minimal http-to-stdout relay: ${theirs.toFixed(2)} ms`,
      comparison: `${ours < theirs ? "−" : "+"}${Math.abs(ours - theirs).toFixed(2)} ms`,
      goal: "",
    };
  });
}

/** Milliseconds from server to host of every delta but the first ones. */
async function latencies(peer, calls) {
  const arrivals = [];
  let isOver = false;
  const collected = peer.collect((piece) => {
    arrivals.push({ at: clock(), piece });
    isOver ||= piece.includes('"stream.done"') || piece.includes('"stream.error"') || piece.includes('"error":{');
    return isOver;
  });
  await peer.write(calls);
  await collected;
  const all = arrivals.flatMap(({ at, piece }) => sentTimes(piece).map((sent) => (at - sent) / 1000));
  if (all.length !== DELTAS) throw new Error(`${all.length} of ${DELTAS} deltas arrived: ${arrivals.at(-1)?.piece}`);
  return all.slice(FIRST);
}

/** The times in a piece; a merged delta holds several. A line of this length is never cut in two by a pipe that is drained. */
function sentTimes(piece) {
  return frames([piece]).flatMap((frame) =>
    (frame.params?.delta ?? "")
      .split(" ")
      .filter((text) => text !== "")
      .map(Number),
  );
}
