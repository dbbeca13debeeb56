import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { membersOf, remembered, withoutStrangers } from "../../src/custody/members.ts";
import { procProcesses } from "../../src/custody/proc.ts";
import type { ProcessEntry, ProcessTable } from "../../src/custody/processes.ts";
import { psProcesses } from "../../src/custody/ps.ts";
import { temporaryFolder } from "../support/sidecar.ts";
import { isAlive, lines, shell, testCustody, until } from "./support.ts";

const noMarks = { since: 0, variable: "NO_SUCH_VARIABLE=", watermark: undefined };

/** Rows of pid, parent, group, session, start. */
function table(...rows: [number, number, number, number, number, mark?: string][]): ProcessTable {
  return new Map(rows.map(([pid, parent, group, session, start, mark]) => [pid, { pid, parent, group, session, start, isAlive: true, mark }]));
}

function pids(entries: readonly ProcessEntry[]): number[] {
  return entries.map(({ pid }) => pid).toSorted((a, b) => a - b);
}

describe("the members of a ward", () => {
  const kin = { marks: new Set(["ours"]), seen: new Map([[10, 100]]) };

  it("are the program, its descendants, its session, and whatever carries its mark, with the groups that those lead", () => {
    const all = table(
      [10, 5, 10, 10, 100],
      [11, 10, 11, 11, 101],
      [12, 1, 10, 10, 102],
      [13, 1, 13, 13, 103, "ours"],
      [14, 1, 13, 13, 104],
      [15, 14, 15, 15, 105],
    );
    expect(pids(membersOf(all, kin))).toEqual([10, 11, 12, 13, 14, 15]);
  });

  it("are not those that stand beside it", () => {
    expect(pids(membersOf(table([5, 1, 5, 5, 1], [10, 5, 10, 10, 100], [20, 5, 20, 20, 100, "theirs"], [21, 20, 20, 20, 101]), kin))).toEqual([10]);
  });

  it("are still told by the group of a program that is gone", () => {
    expect(pids(membersOf(table([12, 1, 10, 10, 102]), kin))).toEqual([12]);
  });

  it("are not those of another process that has the number of the program by now", () => {
    expect(membersOf(table([10, 1, 10, 10, 999], [12, 10, 10, 10, 1000]), kin)).toEqual([]);
  });

  it("are remembered as long as they or what they lead are there", () => {
    const seen = new Map([
      [10, 100],
      [11, 101],
      [12, 102],
    ]);
    const all = table([13, 1, 10, 10, 103], [12, 1, 12, 12, 999]);
    expect(remembered(all, membersOf(all, { marks: new Set(), seen }), seen)).toEqual(
      new Map([
        [13, 103],
        [10, 100],
      ]),
    );
  });

  it("are not looked for among our helpers, but among orphans that have become ours", () => {
    const all = table([5, 1, 5, 5, 1], [6, 5, 5, 5, 2], [7, 6, 7, 7, 3], [8, 5, 8, 8, 4], [9, 5, 9, 9, 5]);
    expect([...withoutStrangers(all, 5, 8).keys()]).toEqual([9]);
  });
});

describe.each([
  ["/proc", procProcesses()],
  ["ps", psProcesses],
] as const)("processes as %s lists them", (_, processes) => {
  it("have a parent, a group, a start that stays, and memory", async () => {
    const ward = await testCustody().start(shell("sleep 1000 & echo $!; wait"));
    const [child = 0] = (await lines(ward, 1)).map(Number);
    // ps may be too slow now and then: then there is nothing to see.
    const look = () =>
      until(async () => {
        const table = await processes.read(noMarks);
        return table.size > 0 ? table : undefined;
      }, "a look");
    const [first, second] = [await look(), await look()];
    expect(first.get(child)).toMatchObject({ parent: ward.pid, group: ward.pid, session: ward.pid, isAlive: true });
    expect(first.get(ward.pid)).toMatchObject({ parent: process.pid });
    expect(first.get(child)?.start).toBeGreaterThan(0);
    expect(second.get(child)?.start).toBe(first.get(child)?.start);
    // It may have been told of before it has loaded its program.
    const memory = (pids: number[]) => until(async () => (await processes.memoryOf(pids)) ?? 0, "memory");
    await until(async () => (await memory([child])) > 100_000, "memory of the child");
    await until(async () => (await memory([child, ward.pid])) > (await memory([child])), "memory of both");
  });

  it("are enough to end a tree", async () => {
    const custody = testCustody({ processes, prlimit: "/nowhere/prlimit" });
    const ward = await custody.start(shell("trap '' TERM; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait; sleep 1000"));
    const children = (await lines(ward, 2)).map(Number);
    await until(async () => (await custody.children())[0]?.descendants === 2, "two descendants");
    await ward.end(50);
    expect([ward.pid, ...children].filter(isAlive)).toEqual([]);
  });
});

describe("a process with a name made to confuse", () => {
  it("is read from /proc like any other", async () => {
    const name = join(temporaryFolder(), "a) Z 1\n(b 2 3");
    symlinkSync("/bin/sleep", name);
    const ward = await testCustody().start(shell("", { command: name, args: ["1000"] }));
    expect((await procProcesses().read(noMarks)).get(ward.pid)).toMatchObject({ parent: process.pid, group: ward.pid, session: ward.pid, isAlive: true });
  });
});
