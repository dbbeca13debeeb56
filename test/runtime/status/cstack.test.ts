import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { countTasks } from "../../../src/runtime/status/cstack.ts";
import { isAlive, until } from "../../custody/support.ts";
import { Container } from "./setup.ts";

const none = { open: 0, ready: 0, in_progress: 0, blocked: 0, closed: 0, total: 0 };
const stats = { open: 5, ready: 2, in_progress: 1, blocked: 0, closed: 42, total: 50 };

/** A container with a task stack, and a `cs` that does what the script says. */
function withCs(script: string): Container {
  const container = new Container();
  container.makeFolder(".cstack");
  container.install("cs", script);
  return container;
}

/** What is counted when `cs` prints this. */
async function countedIn(output: string) {
  const container = withCs('cat "$0.output"');
  writeFileSync(join(container.bin, "cs.output"), output);
  return countTasks(container.workspace, container.programs());
}

describe("the tasks of a workspace", () => {
  it("are those that cs counts, asked in the workspace", async () => {
    const container = withCs(`echo "$PWD $*" > "$0.seen"; echo '${JSON.stringify(stats)}'`);
    expect(await countTasks(container.workspace, container.programs())).toEqual({ exists: true, ...stats });
    expect(readFileSync(join(container.bin, "cs.seen"), "utf8")).toBe(`${realpathSync(container.workspace)} stats --json\n`);
  });

  it("do not exist where there is no folder for them, and cs is not asked", async () => {
    const container = new Container();
    container.install("cs", `echo '${JSON.stringify(stats)}'`);
    expect(await countTasks(container.workspace, container.programs())).toEqual({ exists: false, ...none });
    writeFileSync(join(container.workspace, ".cstack"), "a file");
    expect(await countTasks(container.workspace, container.programs())).toEqual({ exists: false, ...none });
    expect(await countTasks(join(container.workspace, "nowhere"), container.programs())).toEqual({ exists: false, ...none });
    expect(container.starts("cs")).toBe(0);
  });

  it("are zeros where there is no cs", async () => {
    const container = new Container();
    container.makeFolder(".cstack");
    expect(await countTasks(container.workspace, container.programs())).toEqual({ exists: true, ...none });
  });

  it.each([
    ["fails", `echo '${JSON.stringify(stats)}'; exit 3`],
    ["is killed", `echo '${JSON.stringify(stats)}'; kill -9 $$`],
    ["prints no JSON", "echo 'Usage: cs <command>'"],
    ["prints half of it", "printf '{\"open\": 5'"],
    ["prints nothing", "true"],
    ["prints bytes that are no text", "printf '\\377\\376\\000'"],
    ["prints far too much", `head -c 10000000 /dev/zero | tr '\\0' ' '; echo '${JSON.stringify(stats)}'`],
  ])("are zeros where cs %s", async (_what, script) => {
    const container = withCs(script);
    expect(await countTasks(container.workspace, container.programs())).toEqual({ exists: true, ...none });
    expect(container.starts("cs")).toBe(1);
  });

  it("are zeros where cs hangs, and it is ended with all that it has started", async () => {
    const container = withCs(`trap '' TERM; sleep 1000 & echo "$$ $!" > "$0.pids"; while :; do sleep 1000; done`);
    expect(await countTasks(container.workspace, container.programs(1000))).toEqual({ exists: true, ...none });
    const pidFile = join(container.bin, "cs.pids");
    // A machine that is slow enough has ended it before it could say anything.
    const pids = existsSync(pidFile) ? readFileSync(pidFile, "utf8").trim().split(" ").map(Number) : [];
    await until(() => pids.every((pid) => !isAlive(pid)), "the end of cs");
    expect(await until(async () => (await container.custody.children()).every(({ kind }) => kind === "custodian"), "an end of all children")).toBe(true);
  });

  it.each([
    ['{"open":5}', { ...none, open: 5, total: 5 }],
    ['{"open":5,"ready":2,"in_progress":1,"closed":42}', stats],
    ['{"open":5,"total":7}', { ...none, open: 5, total: 7 }],
    ['{"open":-1,"ready":"3","in_progress":null,"blocked":1.5,"closed":true,"total":-5}', none],
    ['{"open":1e300,"ready":1,"total":{}}', { ...none, ready: 1, total: 1 }],
    ['{"open":1,"total":1,"done":9,"__proto__":{"closed":3}}', { ...none, open: 1, total: 1 }],
    ["[]", none],
    ["null", none],
    ["17", none],
  ])("are taken from %s as far as they are counts", async (output, tasks) => {
    expect(await countedIn(output)).toEqual({ exists: true, ...tasks });
  });

  it("are asked for without any key of the sidecar", async () => {
    const container = withCs(`env | cut -d= -f1 > "$0.env"; echo '{}'`);
    const env = { ...container.env, LANG: "C", OPENAI_API_KEY: "sk-1234567890", STEERABLE_API_TOKEN: "t" };
    await countTasks(container.workspace, container.programs(20_000, env));
    const seen = readFileSync(join(container.bin, "cs.env"), "utf8").trim().split("\n");
    expect(seen).toEqual(expect.arrayContaining(["PATH", "HOME", "LANG"]));
    // The marks of the custody, and what the shell sets by itself.
    const rest = seen.filter((name) => !["PATH", "HOME", "LANG", "STEERABLE_CUSTODY", "STEERABLE_WARD", "PWD", "OLDPWD", "SHLVL", "_"].includes(name));
    expect(rest).toEqual([]);
  });
});
