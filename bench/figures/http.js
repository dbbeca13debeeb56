import { setTimeout as delay } from "node:timers/promises";
import { askMany, httpClient, httpSidecar, minimalHttp, streamMany } from "../http.js";
import { startModelServer } from "../model-server.js";
import { fullText } from "../peers/answers.js";
import { residentMemory, watchPeak } from "../resident.js";
import { thousands } from "../table.js";
import { medianOf, takeTurns } from "../turns.js";

const CONNECTIONS = 32;
const TURNS = 7;
const SHORT = "text:20:8";

const STREAMS = 500;
const DELTAS = 200;
const LONG = `text:${DELTAS}:8`;
/** Streams that are open for three seconds, all at a time. */
const SLOW = "ticks:12:250";
const REST_MS = 1000;

/** The HTTP listener over bare `node:http`: answers a second, streams at a time. */
export async function http() {
  const model = await startModelServer();
  const sidecar = await httpSidecar(model.baseUrl);
  const minimal = await minimalHttp(model.baseUrl);
  const client = httpClient();
  const contestants = (measure) => ({ sidecar: () => measure(sidecar), minimal: () => measure(minimal) });
  const rows = [];
  for (const { figure, ask } of asked) {
    const both = contestants((server) => askMany(client, server, { connections: CONNECTIONS, ...ask }));
    // Both are judged warm.
    await takeTurns(2, both);
    rows.push(rowOf(figure, await takeTurns(TURNS, both), "bare `node:http`"));
  }
  const streamed = contestants(async (server) => (STREAMS * DELTAS) / ((await streamMany(client, server, { model: LONG, connections: STREAMS })) / 1000));
  await takeTurns(2, streamed);
  rows.push(rowOf(`deltas over ${STREAMS} event streams at a time`, await takeTurns(TURNS, streamed), "bare `node:http` relay"));
  rows.push(
    memoryRow(
      await takeTurns(
        3,
        contestants((server) => memoryOfStreams(client, server)),
      ),
    ),
  );
  return rows;
}

const completion = (model, prompt, expected) => ({
  verb: "POST",
  path: "/v1/completions",
  body: { model, prompt },
  check(answer) {
    if (answer.final_message !== expected) throw new Error(`a completion was answered with ${JSON.stringify(answer)}`);
  },
});

const health = {
  verb: "GET",
  path: "/health",
  check(answer) {
    if (answer.status !== "ok") throw new Error(`/health was answered with ${JSON.stringify(answer)}`);
  },
};

const asked = [
  { figure: "`GET /health`", ask: { count: 20_000, ...health } },
  { figure: "one-shot completion, `echo`", ask: { count: 2_000, ...completion("echo:any", "Hello", "Hello") } },
  { figure: "one-shot completion, model server with 20 deltas", ask: { count: 2_000, ...completion(`openai:${SHORT}`, "Go", fullText(SHORT)) } },
];

function rowOf(figure, turns, against) {
  const rate = (of) => `${thousands(medianOf(turns, of))}/s`;
  return {
    figure,
    sidecar: rate((turn) => turn.sidecar),
    against: `${against}: ${rate((turn) => turn.minimal)}`,
    comparison: `${medianOf(turns, (turn) => turn.sidecar / turn.minimal).toFixed(2)} ×`,
    goal: "",
  };
}

/** KiB for each stream: the peak while all are open, above what the server took before. */
async function memoryOfStreams(client, server) {
  await delay(REST_MS);
  const before = residentMemory(server.peer.pid);
  const peak = watchPeak(server.peer.pid);
  await streamMany(client, server, { model: SLOW, connections: STREAMS });
  return ((peak() - before) * 1024) / STREAMS;
}

function memoryRow(turns) {
  const kibibytes = (of) => `${medianOf(turns, of).toFixed(0)} KiB`;
  return {
    figure: `memory for each of ${STREAMS} open event streams`,
    sidecar: kibibytes((turn) => turn.sidecar),
    against: `bare \`node:http\` relay: ${kibibytes((turn) => turn.minimal)}`,
    comparison: `+${kibibytes((turn) => turn.sidecar - turn.minimal)}`,
    goal: "",
  };
}
