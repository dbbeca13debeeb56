import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { rolldown } from "rolldown";

/** Bundles `child.ts` the way the product is bundled (CommonJS, the driver outside), and says how to run it. */
export async function bundleChild(folder: string): Promise<string> {
  const bundle = await rolldown({
    input: resolve(import.meta.dirname, "child.ts"),
    platform: "node",
    external: ["@photostructure/sqlite"],
    logLevel: "silent",
  });
  const file = join(folder, "child.cjs");
  await bundle.write({ file, format: "cjs", codeSplitting: false });
  await bundle.close();
  return file;
}

export interface Child {
  pid: number;
  /** Everything that it has said so far. */
  lines: string[];
  /** Resolves when it has said a line that starts with `word`. Rejects when it ends before that. */
  said(word: string): Promise<string>;
  /** Lets a child that waits for it go on. */
  poke(): void;
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or signal. */
  ended: Promise<number | string>;
  stderr(): string;
}

/** Starts a task of `child.ts`. */
export function startChild(bundle: string, args: string[], shell?: string): Child {
  const command = shell === undefined ? [process.execPath, bundle, ...args] : ["sh", "-c", `${shell}; exec "$@"`, "sh", process.execPath, bundle, ...args];
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(command[0] ?? "", command.slice(1), {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_PATH: resolve(import.meta.dirname, "../../node_modules"), NODE_OPTIONS: "", NODE_EXTRA_CA_CERTS: "" },
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const tell = (): void => {
    for (const look of waiting) look();
  };
  let stderr = "";
  let isOver = false;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin.on("error", () => {});
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    lines.push(line);
    tell();
  });
  const ended = Promise.all([once(child, "exit"), once(reader, "close")]).then(([[code, signal]]) => {
    isOver = true;
    tell();
    return typeof code === "number" ? code : String(signal);
  });
  return {
    pid: child.pid ?? 0,
    lines,
    ended,
    stderr: () => stderr,
    poke: () => child.stdin.write("\n"),
    kill: (signal) => child.kill(signal),
    said: (word) =>
      new Promise((found, reject) => {
        const look = (): void => {
          const line = lines.find((said) => said.startsWith(word));
          if (line === undefined && !isOver) return;
          waiting.delete(look);
          if (line !== undefined) found(line);
          else reject(new Error(`it ended before it said "${word}": ${lines.slice(-3).join(" / ")} ${stderr}`));
        };
        waiting.add(look);
        look();
      }),
  };
}
