import { startModelServer } from "../model-server.js";
import { readySidecar } from "../sidecar.js";
import { checkStreams, relayCalls, sidecarCalls, startMinimalRelay, stream } from "../streams.js";
import { thousands } from "../table.js";
import { medianOf, takeTurns } from "../turns.js";

const STREAMS = 8;
const DELTAS = 20_000;
const MODEL = `text:${DELTAS}:8`;
const TURNS = 7;

/** Deltas a second from a model server to the host. All text has to arrive; for a slow host deltas are merged. */
export async function relay() {
  const server = await startModelServer();
  const sidecar = await readySidecar();
  const minimal = await startMinimalRelay(server.baseUrl);
  const contestants = {
    sidecar: () => perSecond(sidecar, sidecarCalls(server.baseUrl, MODEL, STREAMS)),
    minimal: () => perSecond(minimal, relayCalls(MODEL, STREAMS)),
  };
  // Both are judged warm.
  await takeTurns(1, contestants);
  const turns = await takeTurns(TURNS, contestants);
  const merged = 1 - medianOf(turns, (turn) => turn.sidecar.chunks) / (STREAMS * DELTAS);
  return [
    {
      figure: `relay of ${STREAMS} streams of ${DELTAS.toLocaleString("en")} deltas`,
      sidecar: `${thousands(medianOf(turns, (turn) => turn.sidecar.rate))}/s (${Math.round(merged * 100)} % merged)`,
      against: `minimal http-to-stdout relay: ${thousands(medianOf(turns, (turn) => turn.minimal.rate))}/s`,
      comparison: `${medianOf(turns, (turn) => turn.sidecar.rate / turn.minimal.rate).toFixed(2)} ×`,
      goal: "≥ 0.6",
    },
  ];
}

async function perSecond(peer, calls) {
  const { ms, pieces } = await stream(peer, calls);
  return { rate: (STREAMS * DELTAS) / (ms / 1000), chunks: checkStreams(pieces, MODEL, STREAMS) };
}
