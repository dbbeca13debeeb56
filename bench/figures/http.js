import { setTimeout as delay } from "node:timers/promises";
import { askMany, containerSidecar, httpClient, httpSidecar, minimalHttp, streamMany } from "../http.js";
import { startModelServer } from "../model-server.js";
import { fullText } from "../peers/answers.js";
import { residentMemory, watchPeak } from "../resident.js";
import { spawnSidecar, warmCodeCache } from "../sidecar.js";
import { rounded } from "../table.js";
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
const MEMORY_TURNS = 5;

const STARTS = 20;

/** The HTTP listener over bare `node:http`: its start, answers a second, streams at a time. */
export async function http() {
  const model = await startModelServer();
  const sidecar = await httpSidecar(model.baseUrl);
  const minimal = await minimalHttp(model.baseUrl);
  const client = httpClient();
  const both = (measure) => ({ sidecar: () => measure(sidecar), minimal: () => measure(minimal) });
  const deltas = async (server) => (STREAMS * DELTAS) / ((await streamMany(client, server, { model: LONG, connections: STREAMS })) / 1000);
  const rows = [];
  for (const { figure, ask } of asked)
    rows.push(rowOf(figure, "", await warmTurns(both((server) => askMany(client, server, { connections: CONNECTIONS, ...ask })))));
  rows.push(rowOf(`deltas over ${STREAMS} event streams at a time`, " relay", await warmTurns(both(deltas))));
  const memory = { sidecar: () => memoryOfStreams(client, model, httpSidecar), minimal: () => memoryOfStreams(client, model, minimalHttp) };
  rows.push(memoryRow(await takeTurns(MEMORY_TURNS, memory)));
  return [...(await starts(model)), ...rows];
}

/** Both are judged warm. */
async function warmTurns(contestants) {
  await takeTurns(2, contestants);
  return takeTurns(TURNS, contestants);
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

function rowOf(figure, kind, turns) {
  const rate = (of) => `${rounded(medianOf(turns, of))}/s`;
  return {
    figure,
    sidecar: rate((turn) => turn.sidecar),
    against: `bare \`node:http\`${kind}: ${rate((turn) => turn.minimal)}`,
    comparison: `${medianOf(turns, (turn) => turn.sidecar / turn.minimal).toFixed(2)} ×`,
    goal: "",
  };
}

/** KiB for each stream: the peak while all are open, above what the server took when it had streamed a little. */
async function memoryOfStreams(client, model, start) {
  const server = await start(model.baseUrl);
  await streamMany(client, server, { model: LONG, connections: 10 });
  await delay(REST_MS);
  const before = residentMemory(server.peer.pid);
  const peak = watchPeak(server.peer.pid);
  await streamMany(client, server, { model: SLOW, connections: STREAMS });
  const each = ((peak() - before) * 1024) / STREAMS;
  await server.peer.kill();
  return each;
}

function memoryRow(turns) {
  const kibibytes = (of) => `${medianOf(turns, of).toFixed(0)} KiB`;
  return {
    figure: `memory for each of ${STREAMS} open event streams, peak`,
    sidecar: kibibytes((turn) => turn.sidecar),
    against: `bare \`node:http\` relay: ${kibibytes((turn) => turn.minimal)}`,
    comparison: `+${kibibytes((turn) => turn.sidecar - turn.minimal)}`,
    goal: "",
  };
}

/** What the listener adds to a start, and how soon a container answers. */
async function starts(model) {
  const untilReady = async (flags) => {
    const started = performance.now();
    const sidecar = spawnSidecar(flags);
    await sidecar.lines(1);
    const ms = performance.now() - started;
    await sidecar.kill();
    return ms;
  };
  const untilHealthy = async (start) => {
    const started = performance.now();
    const { peer, url } = await start();
    const answer = await fetch(`${url}/health`);
    if ((await answer.json()).status !== "ok") throw new Error("/health was not answered with ok");
    const ms = performance.now() - started;
    await peer.kill();
    return ms;
  };
  const contestants = {
    listening: () => untilReady(["--http", "127.0.0.1:0"]),
    alone: () => untilReady([]),
    container: () => untilHealthy(containerSidecar),
    minimal: () => untilHealthy(() => minimalHttp(model.baseUrl)),
  };
  // The first run of a build leaves its code cache at its end.
  await warmCodeCache(["--http", "127.0.0.1:0"]);
  await takeTurns(1, contestants);
  const turns = await takeTurns(STARTS, contestants);
  const ms = (of) => `${medianOf(turns, of).toFixed(1)} ms`;
  return [
    {
      figure: "start with `--http`: spawn to `lifecycle.ready`",
      sidecar: ms((turn) => turn.listening),
      against: `without: ${ms((turn) => turn.alone)}`,
      comparison: `+${ms((turn) => turn.listening - turn.alone)}`,
      goal: "",
    },
    {
      figure: "start with `--http-only`: spawn to the first answer of `GET /health`",
      sidecar: ms((turn) => turn.container),
      against: `bare \`node:http\`: ${ms((turn) => turn.minimal)}`,
      comparison: `+${ms((turn) => turn.container - turn.minimal)}`,
      goal: "ready within 1 s",
    },
  ];
}
