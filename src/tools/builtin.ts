import type { Custody } from "../custody/custody.ts";
import { fail } from "../errors.ts";
import { editFile } from "./builtin/edit-file.ts";
import { fetchUrl } from "./builtin/fetch-url.ts";
import { getTime } from "./builtin/get-time.ts";
import { listDirectory } from "./builtin/list-directory.ts";
import { readFile } from "./builtin/read-file.ts";
import { runCommand } from "./builtin/run-command.ts";
import { searchFiles } from "./builtin/search-files.ts";
import { writeFile } from "./builtin/write-file.ts";
import type { Tool } from "./tool.ts";

export interface BuiltinOptions {
  /** Names of the tools to switch on. */
  enabled: readonly string[];
  /** Absolute paths of the folders that file tools may see. */
  roots: readonly string[];
  /** Milliseconds since the epoch. */
  now(): number;
  /** What keeps the programs that `run_command` starts. */
  custody: Custody;
  /** Where the few variables come from that a command sees. */
  env: NodeJS.ProcessEnv;
  fetch: {
    /** Let `fetch_url` reach addresses that are not public. */
    allowPrivate: boolean;
  };
}

/**
 * The tools that come with the sidecar, as far as they are switched on, each once and in the order
 * of `enabled`. Throws `invalid_params` for a name that is not one of them.
 */
export function builtinTools(options: BuiltinOptions): Tool[] {
  return [...new Set(options.enabled)].map((name) => {
    const make = makers.get(name);
    if (make === undefined) {
      throw fail("invalid_params", { tool: name }, `No built-in tool is named "${name}"; there are ${[...makers.keys()].join(", ")}`);
    }
    return make(options);
  });
}

const makers = new Map<string, (options: BuiltinOptions) => Tool>([
  ["read_file", ({ roots }) => readFile(roots)],
  ["list_directory", ({ roots }) => listDirectory(roots)],
  ["get_time", ({ now }) => getTime(now)],
  ["write_file", ({ roots }) => writeFile(roots)],
  ["edit_file", ({ roots }) => editFile(roots)],
  ["search_files", ({ roots }) => searchFiles(roots)],
  ["run_command", ({ roots, custody, env }) => runCommand({ roots, custody, env })],
  ["fetch_url", ({ fetch }) => fetchUrl(fetch)],
]);
