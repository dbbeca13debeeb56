import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./sidecar.ts";

/** A configuration whose `scripted` provider plays `turns`, with a database file beside it. */
export function scriptedConfig(turns: readonly unknown[], more = ""): { args: string[]; database: string } {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "script.json"), JSON.stringify({ turns }));
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\nproviders: { scripted: { script: script.json } }\n${more}`);
  return { args: ["--config", join(folder, "config.yaml")], database: join(folder, "sidecar.db") };
}

/** One turn that says something and then never ends. */
export const hangingTurn = { events: [{ delta: "so far" }, { delayMs: 600_000 }, { delta: "never" }] };
