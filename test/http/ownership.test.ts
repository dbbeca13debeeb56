import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { routes } from "../../src/contract/http/index.ts";
import { type MethodName, methods } from "../../src/contract/index.ts";
import { at, startModel } from "../support/agent.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import { until } from "../support/until.ts";

interface Rpc {
  result?: unknown;
  error?: { code: number; message: string; data?: { code?: string } };
}

const echo = { provider: "echo", messages: [{ role: "user", content: "Hi" }] };

/** A listener that Ann and Bob share, and Root, who may see everything. */
async function spawnShared(more: Record<string, unknown> = {}) {
  const args = await configFile({ ann: ["read", "write"], bob: ["read", "write"], root: ["*"] }, {}, { model: "echo:any", ...more });
  const http = await spawnHttp({ args: [...args, "--rate-limit", "0"] });
  const rpc = async (subject: string, method: string, params: object = {}): Promise<Rpc> =>
    (await http.call<Rpc>("POST", "/rpc", { key: keyOf(subject), body: { jsonrpc: "2.0", id: 1, method, params } })).body;
  const sessionOf = async (subject: string): Promise<string> => {
    const { body } = await http.call<{ id: string }>("POST", "/v1/sessions", { key: keyOf(subject), body: {} });
    return body.id;
  };
  return { ...http, rpc, sessionOf };
}

/** What each route with a session in its path is asked with. */
function bodyFor(path: string): object | undefined {
  if (path.endsWith("/completions")) return { prompt: "Hi" };
  if (/\/(dispatch|estimate)$/.test(path)) return { task: "Hi" };
  if (path.endsWith("/providers")) return { provider: "echo" };
  return /\/(role|agent|rag)$/.test(path) ? { name: "any" } : undefined;
}

async function answersOf({ call }: Pick<HttpSidecar, "call">, subject: string, sessionId: string): Promise<string[]> {
  const answers: string[] = [];
  for (const { verb, path } of routes.filter((entry) => entry.path.includes("sessions/{id}") && !isAbsent(entry.path))) {
    const body = verb === "POST" ? bodyFor(path) : undefined;
    const { status, body: answer } = await call<{ error?: { code: string } }>(verb, path.replace("{id}", sessionId), { key: keyOf(subject), body });
    answers.push(`${verb} ${path}: ${status} ${answer?.error?.code ?? ""}`.trimEnd());
  }
  return answers;
}

/** Answered with 404 whoever asks. */
const isAbsent = (path: string) => /\/(dispatch\/.*|ingest|facts.*|envelope)$/.test(path);

describe("a session", () => {
  it("does not exist on any route for those whose it is not", { timeout: 60_000 }, async () => {
    const shared = await spawnShared();
    const sessionId = await shared.sessionOf("ann");
    const foreign = await answersOf(shared, "bob", sessionId);
    expect(foreign.length).toBeGreaterThanOrEqual(15);
    expect(foreign.filter((answer) => !answer.endsWith(": 404 session_not_found"))).toEqual([]);
    // To the letter like one that nobody has.
    expect(foreign).toEqual(await answersOf(shared, "bob", "11111111-1111-4111-8111-111111111111"));
    const { body } = await shared.call<{ id: string; is_active: boolean; messages: unknown[] }>("GET", `/v1/sessions/${sessionId}`, { key: keyOf("ann") });
    expect(body).toMatchObject({ id: sessionId, is_active: true, messages: [] });
  });

  it("is there for its owner and for whoever has admin", { timeout: 60_000 }, async () => {
    const shared = await spawnShared();
    for (const subject of ["ann", "root"]) {
      const answers = await answersOf(shared, subject, await shared.sessionOf("ann"));
      // The route that deletes it comes before some of the others.
      const gone = answers.findIndex((answer) => answer.startsWith("DELETE /v1/sessions/{id}:"));
      expect(answers.slice(0, gone + 1).filter((answer) => answer.includes("session_not_found"))).toEqual([]);
      expect(answers.slice(gone + 1).filter((answer) => !answer.endsWith(": 404 session_not_found"))).toEqual([]);
    }
  });

  it("does not exist for others in any method that takes its id", { timeout: 60_000 }, async () => {
    const { rpc, sessionOf } = await spawnShared();
    const sessionId = await sessionOf("ann");
    const names = (Object.keys(methods) as MethodName[]).filter((name) => "touches" in methods[name] && "session" in methods[name].touches);
    expect(names.length).toBeGreaterThanOrEqual(12);
    for (const name of names) {
      const params = { ...methods[name].example.params, ...(name.startsWith("agent.chat.") ? echo : {}), sessionId };
      const { result, error } = await rpc("bob", name, params);
      const isMissing = error?.data?.code === "session_not_found" || (result === null && error === undefined);
      expect({ name, isMissing, error: error?.message }).toMatchObject({ name, isMissing: true });
    }
    // Made again, it would have been taken from her.
    expect((await rpc("ann", "agent.session.get", { sessionId })).result).toMatchObject({ session: { sessionId } });
  });

  it("is listed for its owner alone, on both surfaces and over /rpc, and for everybody by admin and by the host", async () => {
    const { call, rpc, sessionOf, sidecar } = await spawnShared();
    const ann = await sessionOf("ann");
    const bob = await sessionOf("bob");
    const { sessionId: host } = await sidecar.call<{ sessionId: string }>("agent.session.create");
    const listed = async (subject: string) => {
      const key = keyOf(subject);
      const v1 = (await call<{ id: string }[]>("GET", "/v1/sessions", { key })).body.map(({ id }) => id);
      const context = (await call<{ sessions: { session_id: string }[] }>("GET", "/sessions", { key })).body.sessions.map(({ session_id }) => session_id);
      const own = ((await rpc(subject, "agent.session.list")).result as { sessionId: string }[]).map(({ sessionId }) => sessionId);
      return [v1, context, own].map((ids) => ids.toSorted());
    };
    expect(await listed("ann")).toEqual([[ann], [ann], [ann]]);
    expect(await listed("bob")).toEqual([[bob], [bob], [bob]]);
    const all = [ann, bob, host].toSorted();
    expect(await listed("root")).toEqual([all, all, all]);
    const seen = await sidecar.call<{ sessionId: string }[]>("agent.session.list");
    expect(seen.map(({ sessionId }) => sessionId).toSorted()).toEqual(all);
    expect((await rpc("ann", "agent.session.get", { sessionId: host })).error?.data?.code).toBe("session_not_found");
  });
});

describe("a stream and a trace", () => {
  it("do not exist for those whose they are not", { timeout: 60_000 }, async () => {
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.chunk('data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n');
      return undefined;
    });
    const { call, open, rpc, sidecar } = await spawnShared({ allowedBaseUrls: [model.url] });
    const { streamId } = (await rpc("ann", "agent.chat.stream", at(model))).result as { streamId: string };
    const events = `/v1/streams/${streamId}/events`;
    const steer = { streamId, content: "Stop" };
    expect(await call("GET", events, { key: keyOf("bob") })).toMatchObject({ status: 404, body: { error: { code: "stream_not_found" } } });
    expect((await rpc("bob", "agent.chat.steer", steer)).error?.data?.code).toBe("stream_not_found");
    // Cancelling what is not there is no error; it must not work either.
    await rpc("bob", "agent.chat.cancel", { streamId });
    expect((await rpc("bob", "agent.chat.stream", at(model, { streamId }))).error).toBeDefined();

    const traceOf = async (subject: string) =>
      ((await rpc(subject, "trace.list")).result as { traces: { traceId: string; status: string }[] }).traces.map(({ traceId }) => traceId);
    for (const subject of ["ann", "root"]) {
      const request = open("GET", events, { key: keyOf(subject) });
      const [response] = (await once(request, "response")) as [IncomingMessage];
      expect(response.statusCode).toBe(200);
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      // Being left by the test is no news.
      response.on("error", () => undefined);
      await until(() => text.includes("so far"), "the first words");
      request.destroy();
    }
    await rpc("ann", "agent.chat.cancel", { streamId });
    const ended = await call("GET", events, { key: keyOf("ann") });
    expect(ended.text).toContain("so far");
    const traceId = /"traceId":"([^"]+)"/.exec(ended.text)?.[1] ?? "";
    expect(traceId).not.toBe("");
    expect(await traceOf("ann")).toEqual([traceId]);
    expect(await traceOf("bob")).toEqual([]);
    expect(await traceOf("root")).toEqual([traceId]);
    expect((await rpc("bob", "trace.fetch", { traceId })).error?.data?.code).toBe("trace_not_found");
    for (const subject of ["ann", "root"]) expect((await rpc(subject, "trace.fetch", { traceId })).result).toMatchObject({ trace: { traceId } });
    expect(await sidecar.call("trace.fetch", { traceId })).toMatchObject({ trace: { traceId } });
  });
});

describe("an idempotency key", () => {
  it("is a subject's own: the same key of two callers is two requests", async () => {
    const model = await startModel(["an answer"]);
    const { rpc } = await spawnShared({ allowedBaseUrls: [model.url] });
    const ask = async (subject: string) => (await rpc(subject, "agent.chat.complete", at(model, { idempotencyKey: "the-same" }))).result as { traceId: string };
    const ann = await ask("ann");
    expect(ann.traceId).toEqual(expect.any(String));
    expect((await ask("ann")).traceId).toBe(ann.traceId);
    expect(model.requests).toHaveLength(1);
    expect((await ask("bob")).traceId).not.toBe(ann.traceId);
    expect(model.requests).toHaveLength(2);
  });
});
