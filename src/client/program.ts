import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The program of this package: bin/steerable-sidecar.js, in the folder of this file or one above it. */
export function ownProgram(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const program = join(folder, "bin", "steerable-sidecar.js");
    if (existsSync(program)) return program;
    if (folder === dirname(folder)) {
      throw new Error("The sidecar program was not found beside its client (was the client bundled into the host?): pass `command` and `args`");
    }
  }
}
