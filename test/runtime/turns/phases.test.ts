import { afterEach, expect, it, vi } from "vitest";
import { Phases } from "../../../src/runtime/turns/phases.ts";

afterEach(() => void vi.useRealTimers());

it("a phase is told when it begins and every ten seconds, and nothing once the turn has ended", () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout", "performance"] });
  const told: [string, number][] = [];
  const phases = new Phases(({ phase, sinceMs }) => told.push([phase, sinceMs]));
  phases.enter("tool", 1000);
  vi.advanceTimersByTime(25_000);
  expect(told).toEqual([
    ["tool", 0],
    ["tool", 10_000],
    ["tool", 20_000],
  ]);
  phases.enter("streaming", undefined);
  vi.advanceTimersByTime(5_000);
  phases.close();
  phases.enter("tool", 1000);
  vi.advanceTimersByTime(60_000);
  expect(told.slice(3)).toEqual([["streaming", 0]]);
});
