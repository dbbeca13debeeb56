import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import type { OpenApiDocument } from "../../src/generate/openapi/document.ts";
import { type Answer, spawnHttp } from "../support/http.ts";
import { root } from "../support/root.ts";
import { type Described, Description } from "./fuzz/description.ts";
import { serveModels } from "./fuzz/serve.ts";

describe("GET /openapi.json", () => {
  it("is the file of the package, needs no key, and is valid", async () => {
    const { call } = await spawnHttp();
    const { status, headers, body } = await call<OpenApiDocument>("GET", "/openapi.json", { key: null });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    const file = JSON.parse(readFileSync(join(root, "schema/openapi.json"), "utf8")) as OpenApiDocument;
    expect(body.servers).toEqual([{ url: "/" }]);
    expect(body).toEqual({ ...file, servers: body.servers });
    const { valid, errors } = await new Validator().validate(body as unknown as Record<string, unknown>);
    expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
  });
});

describe("what the document says of the listener", { timeout: 120_000 }, () => {
  it("holds: each operation is there, wants a key where it says so, and answers with a status that it names", async () => {
    const { call } = await spawnHttp();
    const description = new Description((await call<OpenApiDocument>("GET", "/openapi.json")).body);
    expect(description.operations.length).toBeGreaterThan(30);
    for (const described of description.operations) {
      const { name, verb, path, operation } = described;
      const address = path.replace(/\{\w+\}/g, "none");
      const unknown = await call<{ error?: { code: string } }>(verb, address, { key: null });
      if (operation.security?.length === 0) expect(unknown.status, name).toBe(200);
      else expect({ name, status: unknown.status, code: unknown.body.error?.code }).toEqual({ name, status: 401, code: "unauthorized" });
      for (const answer of [unknown, await call(verb, address)]) expect(description.surprises(described, answer), `${name}: ${answer.status}`).toEqual([]);
    }
  });

  it("can be done: each example is answered as it says", async () => {
    const { call, description } = await serveModels();
    for (const described of description.operations) {
      const { name, operation } = described;
      const answer = await answerTo(described, call);
      expect(description.surprises(described, answer), `${name}: ${answer.text}`).toEqual([]);
      const good = Object.keys(operation.responses).filter((status) => Number(status) < 300);
      // What there is none of yet is not found, whatever is asked for.
      const { error } = JSON.parse(answer.text.startsWith("{") ? answer.text : "{}") as { error?: { code: string } };
      if (absent.includes(error?.code ?? "")) expect(operation["x-errors"]).toContain(error?.code);
      else expect(good, `${name}: ${answer.text}`).toContain(String(answer.status));
    }
  });
});

const absent = ["not_enabled", "role_not_found", "agent_not_found", "rag_not_found"];
type Call = Awaited<ReturnType<typeof spawnHttp>>["call"];

/** Sends the example of an operation, about a session or a stream of its own. */
async function answerTo({ verb, path, operation, name }: Described, call: Call): Promise<Answer> {
  const rpc = (method: string, params: object) => ({ jsonrpc: "2.0", id: 1, method, params });
  const start = rpc("agent.chat.stream", { streamId: `of ${name}`.replace(/[^\w]/g, "."), provider: "echo", messages: [{ role: "user", content: "Hi" }] });
  const { body: session } = await call<{ id: string }>("POST", "/v1/sessions", { body: {} });
  if (path.includes("{streamId}")) await call("POST", "/rpc", { body: start });
  const example = operation.requestBody?.content["application/json"]?.example;
  const body = name === "POST /rpc" ? rpc("system.ping", {}) : example;
  const address = path
    .replace("{id}", session.id)
    .replace("{streamId}", (start.params as { streamId: string }).streamId)
    .replace("{name}", "one");
  return call(verb, address, body === undefined ? {} : { body });
}
