import { describe, expect, it } from "vitest";
import { fake, next, real } from "./sidecars.ts";

describe("a call", () => {
  it("gives typed results for every family", async () => {
    const sidecar = await real();
    const { sessionId } = await sidecar.sessions.create({ chatId: "chat-1" });
    expect((await sidecar.sessions.resume(sessionId)).chatId).toBe("chat-1");
    expect((await sidecar.sessions.list({ chatId: "chat-1" })).map((session) => session.sessionId)).toEqual([sessionId]);
    expect((await sidecar.sessions.get(sessionId, { limit: 5 })).messages).toEqual([]);
    expect((await sidecar.sessions.close(sessionId)).isActive).toBe(false);
    expect(await sidecar.sessions.delete(sessionId)).toBeNull();
    await sidecar.config.set({ tools: { builtin: ["get_time"] } });
    expect((await sidecar.config.get())["tools"]).toMatchObject({ builtin: ["get_time"] });
    expect((await sidecar.tools.list()).map((tool) => tool.function.name)).toEqual(["get_time"]);
    expect((await sidecar.tools.invoke({ name: "get_time", arguments: {} })).success).toBe(true);
    const { traces } = await sidecar.traces.list();
    expect((await sidecar.traces.fetch(traces[0]!.traceId)).trace.status).toBe("completed");
  });

  it("rejects with the sidecar's error: code, kind, data and message", async () => {
    const sidecar = await real();
    await expect(sidecar.sessions.resume("sess_nowhere")).rejects.toMatchObject({
      name: "SidecarError",
      code: -32004,
      kind: "invalid_request",
      data: { code: "session_not_found", sessionId: "sess_nowhere" },
      message: "No such session",
    });
  });

  it("finds the kind by the code when a sidecar sends none", async () => {
    const sidecar = await fake(`ready(); on = ({ id }) => send({ id, error: { code: -32001, message: "used up", data: { left: 0 } } })`);
    await expect(sidecar.ping()).rejects.toMatchObject({ code: -32001, kind: "budget_exhausted", data: { left: 0 }, message: "used up" });
  });

  it("refuses params that are not JSON before anything is sent", async () => {
    const sidecar = await real();
    await expect(sidecar.config.set({ logLevel: 1n })).rejects.toMatchObject({ kind: "invalid_params" });
    expect((await sidecar.ping()).status).toBe("ok");
  });

  it("carries any text through unharmed", async () => {
    const sidecar = await real();
    const stageData = { text: 'line\u2028separator \u{1F600} "quoted" \\ud800', nested: [null, true, 1.5] };
    const { sessionId } = await sidecar.sessions.create({ stageData });
    expect((await sidecar.sessions.resume(sessionId)).stageData).toEqual(stageData);
  });

  it("is cancelled by its signal, at the sidecar too", async () => {
    const sidecar = await fake(
      `ready(); on = (frame) => { if (frame.method === "system.info" || frame.method === "$/cancelRequest") send({ method: "saw", params: frame }) }`,
    );
    const controller = new AbortController();
    const asked = next(sidecar, "notification");
    const call = sidecar.info({ signal: controller.signal });
    const request = (await asked) as unknown as { params: { id: number } };
    const told = next(sidecar, "notification");
    const why = new Error("enough");
    controller.abort(why);
    await expect(call).rejects.toMatchObject({ kind: "cancelled", code: -32800, cause: why });
    expect(await told).toMatchObject({ params: { method: "$/cancelRequest", params: { id: request.params.id } } });
  });

  it("sends nothing under a signal that was aborted before", async () => {
    const sidecar = await fake(`ready(); on = (frame) => send({ method: "saw", params: frame })`);
    const seen: unknown[] = [];
    sidecar.on("notification", ({ params }) => seen.push(params));
    await expect(sidecar.info({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: "cancelled" });
    const first = next(sidecar, "notification");
    void sidecar.ping().catch(() => undefined);
    await first;
    expect(seen).toMatchObject([{ method: "system.ping" }]);
  });

  it("is cancelled when its time is over", async () => {
    const sidecar = await fake(`ready(); on = (frame) => { if (frame.method === "$/cancelRequest") send({ method: "saw", params: frame.params }) }`);
    const told = next(sidecar, "notification");
    await expect(sidecar.ping({ timeoutMs: 50 })).rejects.toMatchObject({ kind: "timeout", code: -32005, data: { timeoutMs: expect.any(Number) } });
    expect(await told).toMatchObject({ method: "saw", params: { id: 0 } });
  });

  it("takes Infinity as a deadline, and refuses a negative one", async () => {
    const sidecar = await real();
    expect((await sidecar.ping({ timeoutMs: Number.POSITIVE_INFINITY })).status).toBe("ok");
    await expect(sidecar.ping({ timeoutMs: -1 })).rejects.toThrow(RangeError);
  });

  it("does not mix up calls that are answered in another order", async () => {
    const sidecar = await fake(
      `ready(); const held = []; on = (frame) => { held.push(frame); if (held.length === 50) for (const { id, params } of held.reverse()) send({ id, result: params }) }`,
    );
    const results = await Promise.all(Array.from({ length: 50 }, (_, index) => sidecar.config.set({ index })));
    expect(results).toEqual(Array.from({ length: 50 }, (_, index) => ({ index })));
  });

  it("survives whatever else the sidecar writes, and reports it", async () => {
    const body = `
      const noise = ["not json", "[1,2]", "42", "null", "{}", '{"jsonrpc":"1.0","id":0,"result":1}', '{"jsonrpc":"2.0","id":99,"result":1}', '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what"}}',
        '{"jsonrpc":"2.0","method":"$/cancelRequest"}', '{"jsonrpc":"2.0","id":"srv_1","method":"tool.invoke","params":{}}', '{"jsonrpc":"2.0","method":"stream.done"}', '{"jsonrpc":"2.0","method":"x","params":[1]}', "", "\\ufeff"];
      ready();
      on = ({ id, method }) => { if (method !== "system.ping") return; for (const line of noise) process.stdout.write(line + "\\r\\n"); process.stdout.write(Buffer.from([0x22, 0xff, 0x22, 10])); send({ id, result: { status: "ok" } }) }`;
    const sidecar = await fake(body);
    const faults: string[] = [];
    sidecar.on("fault", (error) => faults.push(error.message));
    expect((await sidecar.ping()).status).toBe("ok");
    expect(faults.filter((fault) => fault.startsWith("The sidecar sent a line that is not a JSON-RPC message"))).toHaveLength(7);
    expect(faults.join()).not.toContain("not json");
  });
});
