/**
 * Measures the built sidecar and prints one markdown table for the README.
 *
 *     npm run build
 *     npm run bench                              # everything, about five minutes
 *     node bench/bench.js startup relay          # these only
 *
 * Each figure is a ratio (or a difference) of two things that take turns in one run: A B A B. What is
 * printed for each side is its median, and for the comparison the median over the turns, so that a
 * machine that slows down halfway slows both. Progress goes to stderr, the table to stdout.
 */
import { existsSync } from "node:fs";
import { http } from "./figures/http.js";
import { latency } from "./figures/latency.js";
import { loop } from "./figures/loop.js";
import { memory } from "./figures/memory.js";
import { pings } from "./figures/pings.js";
import { relay } from "./figures/relay.js";
import { sessions } from "./figures/sessions.js";
import { startup } from "./figures/startup.js";
import { machine } from "./machine.js";
import { endAll } from "./peer.js";
import { bundle } from "./sidecar.js";
import { table } from "./table.js";

const figures = { startup, pings, relay, latency, memory, sessions, loop, http };

process.exitCode = await main(process.argv.slice(2));

/** The exit code: 0 when everything asked for was measured, 1 when it could not be, 2 for a bad call. */
async function main(asked) {
  const unknown = asked.filter((name) => !Object.hasOwn(figures, name));
  if (unknown.length > 0) {
    console.error(`bench: no figure is called ${unknown.join(", ")}; there are ${Object.keys(figures).join(", ")}`);
    return 2;
  }
  if (!existsSync(bundle)) {
    console.error("bench: dist/sidecar.js is missing; run `npm run build` first");
    return 2;
  }
  const rows = [];
  let failed = false;
  for (const name of asked.length > 0 ? asked : Object.keys(figures)) {
    console.error(`${name} …`);
    try {
      rows.push(...(await figures[name]()));
    } catch (error) {
      // One figure that fails must not take the others with it.
      failed = true;
      console.error(`bench: ${name} could not be measured: ${error.stack}`);
    } finally {
      await endAll();
    }
  }
  console.log(`${machine()}\n\n${table(rows)}`);
  return failed ? 1 : 0;
}
