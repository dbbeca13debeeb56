import { describe, expect, it } from "vitest";
import { fail } from "../../src/errors.ts";
import { Keys } from "../../src/runtime/keys.ts";

const mark = { key: "k", digest: "d" };

/** A call that ends when it is told to, or when nobody waits any more. */
function makeCall() {
  const calls: { signal: AbortSignal; end(value: string): void }[] = [];
  const open = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(fail("cancelled")));
      calls.push({ signal, end: resolve });
    });
  return { calls, open };
}

describe("calls with one key", () => {
  it("are one call, until it is known to have ended", async () => {
    const keys = new Keys<string>();
    const { calls, open } = makeCall();
    const signal = new AbortController().signal;
    const both = [keys.join(mark, signal, open), keys.join(mark, signal, open)];
    expect(calls).toHaveLength(1);
    calls[0]?.end("done");
    expect(await Promise.all(both)).toEqual(["done", "done"]);
    expect(await keys.join(mark, signal, open)).toBe("done");
    keys.release("k");
    void keys.join(mark, signal, open);
    expect(calls).toHaveLength(2);
  });

  it("are refused with other params", async () => {
    const keys = new Keys<string>();
    const { open } = makeCall();
    const signal = new AbortController().signal;
    void keys.join(mark, signal, open);
    await expect(keys.join({ ...mark, digest: "other" }, signal, open)).rejects.toMatchObject({ data: { code: "idempotency_key_reused" } });
  });

  it("go on as long as one of the callers waits", async () => {
    const keys = new Keys<string>();
    const { calls, open } = makeCall();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = keys.join(mark, one.signal, open);
    const second = keys.join(mark, two.signal, open);
    one.abort();
    expect(calls[0]?.signal.aborted).toBe(false);
    calls[0]?.end("done");
    expect(await Promise.all([first, second])).toEqual(["done", "done"]);
  });

  it("are stopped when all have given up, with the reason of the last", async () => {
    const keys = new Keys<string>();
    const { calls, open } = makeCall();
    const [one, two] = [new AbortController(), new AbortController()];
    const both = [keys.join(mark, one.signal, open), keys.join(mark, two.signal, open)];
    one.abort();
    const reason = fail("shutting_down");
    two.abort(reason);
    expect(calls[0]?.signal.reason).toBe(reason);
    for (const each of both) await expect(each).rejects.toMatchObject({ errorName: "cancelled" });
  });

  it("begin anew for one who comes while those before give up", async () => {
    const keys = new Keys<string>();
    const { calls, open } = makeCall();
    const one = new AbortController();
    const first = keys.join(mark, one.signal, open);
    one.abort();
    const second = keys.join(mark, new AbortController().signal, open);
    await expect(first).rejects.toMatchObject({ errorName: "cancelled" });
    await expect.poll(() => calls.length).toBe(2);
    calls[1]?.end("done");
    expect(await second).toBe("done");
  });

  it("that fail are forgotten, and their error is everybody's", async () => {
    const keys = new Keys<string>();
    const signal = new AbortController().signal;
    const broken = () => Promise.reject(fail("storage"));
    for (const each of [keys.join(mark, signal, broken), keys.join(mark, signal, broken)]) await expect(each).rejects.toMatchObject({ errorName: "storage" });
    expect(await keys.join(mark, signal, async () => "done")).toBe("done");
  });
});
