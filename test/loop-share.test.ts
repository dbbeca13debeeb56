import { describe, expect, it } from "vitest";
import { LoopShare } from "../src/loop-share.ts";
import { countTurns, work } from "./support/event-loop.ts";

describe("the share of the event loop that streams take", () => {
  it("is given at once where nobody has taken it", () => {
    expect(new LoopShare().turn()).toBeUndefined();
  });

  it("lets many who have much to do go on in one turn of the loop after the other, round and round", async () => {
    const [WORKERS, PIECES] = [8, 5];
    const share = new LoopShare();
    const turns = countTurns();
    const done: { worker: number; turn: number }[] = [];
    const run = async (worker: number) => {
      for (let piece = 0; piece < PIECES; piece++) {
        const wait = share.turn();
        if (wait !== undefined) await wait;
        work();
        done.push({ worker, turn: turns.now() });
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, (_, worker) => run(worker)));
    turns.stop();
    const perTurn = new Map<number, number>();
    for (const { turn } of done) perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
    // One who takes what is free, and one who was let go behind it.
    expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(2);
    // Nobody is two pieces ahead of another.
    const left = Array.from({ length: WORKERS }, () => PIECES);
    for (const { worker } of done) {
      left[worker] = (left[worker] ?? 0) - 1;
      expect(Math.max(...left) - Math.min(...left)).toBeLessThanOrEqual(2);
    }
    expect(left).toEqual(Array.from({ length: WORKERS }, () => 0));
  });

  it("waits with the next one until the one that was let go has done all that it does at once, later promises included", async () => {
    const share = new LoopShare();
    share.turn();
    work();
    const said: string[] = [];
    const run = async (name: string) => {
      await share.turn();
      said.push(`${name} begins`);
      for (let step = 0; step < 20; step++) await undefined;
      said.push(`${name} ends`);
    };
    await Promise.all([run("a"), run("b"), run("c")]);
    expect(said).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  });
});
