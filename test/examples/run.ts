import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { delimiter, dirname } from "node:path";
import { root } from "../support/root.ts";

interface Outcome {
  /** Exit code, or the name of the signal. */
  code: number | string | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  /** On top of the environment of the tests; undefined takes a variable away. */
  env?: NodeJS.ProcessEnv;
}

/** Only a test that fails takes this long. */
const PATIENCE_MS = 50_000;

/** The examples say `node`: that is the one that runs the tests. */
const PATH = [dirname(process.execPath), process.env["PATH"]].join(delimiter);

/** Runs a program at the root of the package, where the package's own name leads to what it ships. */
export async function run(command: string, args: readonly string[], { env = {} }: RunOptions = {}): Promise<Outcome> {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(patience);
  return { code: code ?? signal, stdout, stderr };
}

/** The command of Python 3; undefined where there is none. */
export function python(): string | undefined {
  return ["python3", "python"].find((command) => spawnSync(command, ["--version"], { encoding: "utf8" }).stdout?.startsWith("Python 3."));
}
