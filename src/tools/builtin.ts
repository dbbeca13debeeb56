import { fail } from "../errors.ts";
import { getTime } from "./builtin/get-time.ts";
import { listDirectory } from "./builtin/list-directory.ts";
import { readFile } from "./builtin/read-file.ts";
import type { Tool } from "./tool.ts";

export interface BuiltinOptions {
  /** Names of the tools to switch on: `read_file`, `list_directory`, `get_time`. */
  enabled: readonly string[];
  /** Absolute paths of the folders that file tools may see. */
  roots: readonly string[];
  /** Milliseconds since the epoch. */
  now(): number;
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
]);
