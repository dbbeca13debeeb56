import { describe, expect, it } from "vitest";
import { Outgoing, PeerError, type Via } from "../../src/rpc/outgoing.ts";

interface Sent {
  id?: string;
  method: string;
  params: unknown;
  via?: Via | undefined;
}

function make() {
  const sent: Sent[] = [];
  const outgoing = new Outgoing((frame, via) => sent.push({ ...frame, ...(via === undefined ? {} : { via }) }));
  return { outgoing, sent };
}

const patience = () => ({ timeoutMs: 10_000, signal: new AbortController().signal });

describe("a request to the peer", () => {
  it("has an id of its own and resolves with what the peer answers to it", async () => {
    const { outgoing, sent } = make();
    const first = outgoing.request("a", { x: 1 }, patience());
    const second = outgoing.request("b", {}, patience());
    expect(sent).toEqual([
      { id: "srv_1", method: "a", params: { x: 1 } },
      { id: "srv_2", method: "b", params: {} },
    ]);
    outgoing.receive("srv_2", { result: "two" });
    outgoing.receive("srv_1", { result: null });
    expect(await Promise.all([first, second])).toEqual([null, "two"]);
  });

  it("rejects with the error of the peer, whatever that is made of", async () => {
    const errors: [unknown, number, string][] = [
      [{ code: 7, message: "no" }, 7, "no"],
      [{ message: 5 }, 0, "The host answered with an error"],
      ["no", 0, "The host answered with an error"],
      [{ code: 1, message: "x".repeat(5000) }, 1, "x".repeat(2048)],
    ];
    for (const [error, code, message] of errors) {
      const { outgoing } = make();
      const request = outgoing.request("a", {}, patience());
      outgoing.receive("srv_1", { error });
      const rejection = await request.catch((caught: unknown) => caught);
      expect(rejection).toBeInstanceOf(PeerError);
      expect(rejection).toMatchObject({ code, message });
    }
  });

  it("takes a result beside an error of null, as some libraries send it", async () => {
    const { outgoing } = make();
    const request = outgoing.request("a", {}, patience());
    outgoing.receive("srv_1", { result: 1, error: null });
    expect(await request).toBe(1);
  });

  it("drops answers that nobody waits for: unknown ids, second answers, late ones", async () => {
    const { outgoing, sent } = make();
    const request = outgoing.request("a", {}, { ...patience(), timeoutMs: 1 });
    for (const id of ["srv_9", 1, null, undefined, { id: "srv_1" }]) outgoing.receive(id, { result: "wrong" });
    await expect(request).rejects.toMatchObject({ errorName: "timeout" });
    outgoing.receive("srv_1", { result: "late" });
    expect(sent.at(-1)).toEqual({ method: "$/cancelRequest", params: { id: "srv_1" } });
    expect(sent).toHaveLength(2);
  });

  it("is taken back when it is cancelled, on the way that it went itself", async () => {
    const { outgoing, sent } = make();
    const controller = new AbortController();
    const lane = () => undefined;
    const request = outgoing.request("a", {}, { timeoutMs: 10_000, signal: controller.signal }, lane);
    controller.abort();
    await expect(request).rejects.toMatchObject({ errorName: "cancelled" });
    expect(sent.map(({ method, via }) => [method, via])).toEqual([
      ["a", lane],
      ["$/cancelRequest", lane],
    ]);
    await expect(outgoing.request("b", {}, { timeoutMs: 1, signal: controller.signal })).rejects.toMatchObject({ errorName: "cancelled" });
    expect(sent).toHaveLength(2);
  });

  it("says whether it was sent when the peer goes away", async () => {
    const { outgoing, sent } = make();
    const pending = [outgoing.request("a", {}, patience()), outgoing.request("b", {}, patience())];
    outgoing.close();
    for (const each of pending) await expect(each).rejects.toMatchObject({ errorName: "transport_closed", data: { sent: true } });
    const late = await outgoing.request("c", {}, patience()).catch((error: unknown) => error);
    expect(late).toMatchObject({ errorName: "transport_closed", data: undefined });
    expect(sent).toHaveLength(2);
  });
});
