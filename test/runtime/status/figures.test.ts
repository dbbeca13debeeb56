import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { figuresOf, ownFigures } from "../../../src/runtime/status/figures.ts";
import { temporaryFolder } from "../../support/sidecar.ts";

interface FakeProc {
  name?: string;
  /** Ticks after the start of the machine. */
  start?: number;
  /** Seconds. */
  uptime?: string;
  status?: string;
}

/** A /proc with one process, number 1. */
function fakeProc({
  name = "sleep",
  start = 4200,
  uptime = "3642.99 7000.00\n",
  status = "Name:\tsleep\nVmPeak:\t 999999 kB\nVmRSS:\t  524288 kB\n",
}: FakeProc = {}): string {
  const folder = temporaryFolder();
  const before = Array.from({ length: 18 }, (_, index) => index);
  mkdirSync(join(folder, "1"));
  writeFileSync(join(folder, "1", "stat"), `1 (${name}) S ${before.join(" ")} ${start} 1000000 300 18446744073709551615\n`);
  writeFileSync(join(folder, "1", "status"), status);
  writeFileSync(join(folder, "uptime"), uptime);
  return folder;
}

describe("the figures of a process", () => {
  it("are how long it has been there and what memory it holds", () => {
    expect(figuresOf(1, fakeProc())).toEqual({ pid: 1, uptime_seconds: 3600, memory_mb: 512 });
  });

  it.each(["a b", "a) S 1 2 (b", "((", "tini\n) S"])("are read past the name %j", (name) => {
    expect(figuresOf(1, fakeProc({ name }))).toEqual({ pid: 1, uptime_seconds: 3600, memory_mb: 512 });
  });

  it("are never negative, where a container is shown an uptime of its own", () => {
    expect(figuresOf(1, fakeProc({ start: 90_000_000 }))).toMatchObject({ uptime_seconds: 0 });
  });

  it("are unknown as a whole where a part of them is", () => {
    expect(figuresOf(2, fakeProc())).toBeUndefined();
    expect(figuresOf(1, fakeProc({ status: "Name:\tkthreadd\n" }))).toBeUndefined();
    expect(figuresOf(1, fakeProc({ uptime: "" }))).toBeUndefined();
    expect(figuresOf(1, join(fakeProc(), "nowhere"))).toBeUndefined();
  });

  it("are those of this process, where they are our own", () => {
    const own = ownFigures();
    expect(own.pid).toBe(process.pid);
    expect(own.memory_mb).toBeGreaterThan(0);
  });

  it.runIf(process.platform === "linux")("are the same by /proc and by Node", () => {
    const own = ownFigures();
    const read = figuresOf(process.pid, "/proc");
    expect(Math.abs((read?.uptime_seconds ?? -100) - own.uptime_seconds)).toBeLessThan(10);
    expect(read?.memory_mb).toBeGreaterThan(0);
  });
});
