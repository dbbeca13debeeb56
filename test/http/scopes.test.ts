import { describe, expect, it } from "vitest";
import { type MethodName, methods } from "../../src/contract/index.ts";
import type { OpenApiDocument } from "../../src/generate/openapi/document.ts";
import { spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";

interface ErrorAnswer {
  error?: { code: string };
}

interface RpcAnswer {
  error?: { code: number; kind: string; data?: { code?: string; scope?: string } };
}

/** A listener with a key for each scope alone. */
async function spawnWithScopes() {
  const args = await configFile({ read: ["read"], write: ["write"], admin: ["admin"] });
  return spawnHttp({ args: [...args, "--rate-limit", "0"] });
}

describe("the scope of a key", () => {
  it("is what each operation of /openapi.json says that it needs", { timeout: 60_000 }, async () => {
    const { call } = await spawnWithScopes();
    const { body: document } = await call<OpenApiDocument>("GET", "/openapi.json");
    const operations = Object.entries(document.paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).map(([verb, operation]) => ({ verb: verb.toUpperCase(), path, operation })),
    );
    const needs = new Set<string>();
    for (const { verb, path, operation } of operations) {
      const { "x-scope": scope } = operation;
      if (scope === undefined) continue;
      needs.add(scope);
      for (const subject of ["read", "write", "admin"]) {
        // Nothing that would be taken: whoever may not ask is not told what is wrong with the question.
        const answer = await call<ErrorAnswer>(verb, path.replace(/\{\w+\}/g, "none"), { key: keyOf(subject), body: verb === "GET" ? undefined : "{" });
        const got = answer.status === 403 ? answer.body.error?.code : "let through";
        expect(`${verb} ${path} with ${subject}: ${got}`).toBe(`${verb} ${path} with ${subject}: ${subject === scope ? "let through" : "forbidden"}`);
      }
    }
    expect([...needs].toSorted()).toEqual(["read", "write"]);
  });

  it("is what each method needs over /rpc, and those that are about the host are for nobody there", { timeout: 60_000 }, async () => {
    const { call } = await spawnWithScopes();
    // The process is still wanted.
    const names = (Object.keys(methods) as MethodName[]).filter((name) => !name.startsWith("system.shutdown"));
    for (const subject of ["read", "write", "admin"] as const) {
      for (const method of names) {
        const body = { jsonrpc: "2.0", id: 1, method, params: { sessionId: "", streamId: "", traceId: "", name: "", tools: 0 } };
        const answer = await call<RpcAnswer>("POST", "/rpc", { key: keyOf(subject), body });
        expect(answer.status).toBe(200);
        const isForbidden = answer.body.error?.data?.code === "forbidden";
        expect({ method, subject, isForbidden }).toEqual({ method, subject, isForbidden: methods[method].scope !== subject });
        if (isForbidden) expect(answer.body.error).toMatchObject({ code: -32002, kind: "policy_denied", data: { scope: methods[method].scope } });
      }
      if (subject === "admin") continue;
      for (const method of ["system.shutdown", "system.shutdown_now"]) {
        const { body } = await call<RpcAnswer>("POST", "/rpc", { key: keyOf(subject), body: { jsonrpc: "2.0", id: 1, method } });
        expect(body.error?.data?.code).toBe("forbidden");
      }
    }
  });

  it("does not make the token of the run the host itself", async () => {
    const { call } = await spawnHttp();
    for (const method of ["system.initialize", "tool.register", "tool.unregister"]) {
      const { body } = await call<RpcAnswer>("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method, params: {} } });
      expect(body.error?.data).toMatchObject({ code: "forbidden", scope: "host" });
    }
  });
});
