import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, configuredSidecar, request } from "../sidecar.js";
import { frames, terminals } from "../streams.js";
import { medianOf, takeTurns } from "../turns.js";

const HISTORY = 50;
const ROUNDS = 40;
const AT_ONCE = 100;
const TURNS = 15;

/**
 * What the loop itself costs: rounds of model call, tool call and the next model call, where the model is
 * a script and the tool tells the time. The script is indexed by how often the model has spoken.
 */
export async function loop() {
  const sidecar = await configuredSidecar((folder) => {
    const last = { events: [{ delta: "done" }] };
    // The same call over and over would be refused.
    const ask = (index) => ({ events: [{ toolCall: { name: "get_time", arguments: { timeZone: index % 2 === 0 ? "Europe/Zurich" : "UTC" } } }] });
    const script = (before) => ({ turns: [...Array.from({ length: before }, () => last), ...Array.from({ length: ROUNDS }, (_, index) => ask(index)), last] });
    for (const before of [0, HISTORY]) writeFileSync(join(folder, `after-${before}.json`), JSON.stringify(script(before)));
    return "tools: { builtin: [get_time] }\n";
  });
  const paths = (before) => ({ script: join(sidecar.folder, `after-${before}.json`) });
  const turn = (id, sessionId, before, useTools) =>
    request(id, "agent.chat.stream", {
      provider: "scripted",
      sessionId,
      useTools,
      providerOptions: paths(before),
      messages: [{ role: "user", content: "What time is it?" }],
    });

  /** A new session with that many turns behind it. */
  const session = async (before) => {
    const { sessionId } = await call(sidecar, "agent.session.create", { chatId: "bench" });
    for (let index = 0; index < before; index++) await play(sidecar, [turn(0, sessionId, HISTORY, [])]);
    return sessionId;
  };
  const perRound = async (before, atOnce) => {
    const sessions = [];
    for (let index = 0; index < atOnce; index++) sessions.push(await session(before));
    const ms = await play(
      sidecar,
      sessions.map((sessionId, index) => turn(index, sessionId, before, ["*"])),
      ROUNDS,
    );
    return ms / (ROUNDS * atOnce);
  };
  const contestants = { long: () => perRound(HISTORY, 1), short: () => perRound(0, 1), many: () => perRound(0, AT_ONCE) };
  await takeTurns(2, contestants);
  const turns = await takeTurns(TURNS, contestants);
  const of = (name) => medianOf(turns, (each) => each[name]);
  const ms = (value) => `${value.toFixed(2)} ms`;
  return [
    {
      figure: `one round of the agent loop after ${HISTORY} turns (model and tool take no time)`,
      sidecar: ms(of("long")),
      against: `in a new session: ${ms(of("short"))}`,
      comparison: `${medianOf(turns, (each) => each.long / each.short).toFixed(2)} ×`,
      goal: "under 1 ms",
    },
    {
      figure: `a round when ${AT_ONCE} turns run at once`,
      sidecar: ms(of("many")),
      against: `one turn alone: ${ms(of("short"))}`,
      comparison: `${medianOf(turns, (each) => each.many / each.short).toFixed(2)} ×`,
      goal: "",
    },
  ];
}

/** Sends calls and waits until their streams have ended; milliseconds. With `rounds`, checks that each has made so many tool calls. */
async function play(sidecar, calls, rounds) {
  const collected = sidecar.collect(terminals(calls.length));
  const started = performance.now();
  await sidecar.write([calls.join("")]);
  const pieces = await collected;
  const ms = performance.now() - started;
  if (rounds === undefined) return ms;
  const made = frames(pieces).filter(({ params }) => params?.toolResult?.success === true).length;
  if (made !== rounds * calls.length) throw new Error(`${made} of ${rounds * calls.length} tool calls were made`);
  return ms;
}
