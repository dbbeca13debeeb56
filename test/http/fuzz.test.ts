import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contractDefinitions, refName, type JsonSchema } from "../../src/generate/definitions.ts";
import { root } from "../support/root.ts";
import { client, type Send } from "./fuzz/client.ts";
import type { Described, Description } from "./fuzz/description.ts";
import { faultsOf } from "./fuzz/judge.ts";
import { ANY_SESSION, ANY_STREAM, Pool } from "./fuzz/pool.ts";
import { type Drawn, requests } from "./fuzz/requests.ts";
import { serveModels } from "./fuzz/serve.ts";
import { anything, fitting, type Known } from "./fuzz/values.ts";

/** Requests for an operation that takes something; the others have little to get wrong. */
const RUNS = 150;
const FEW_RUNS = 25;
/** A slow machine makes fewer. Milliseconds for one operation. */
const MOST_TIME_MS = 25_000;
const AT_A_TIME = 4;

describe("every operation of the description", { timeout: 600_000 }, () => {
  it("answers whatever it is sent, as it says, and the process lives on", async () => {
    const { description, sidecar, call, url, token, modelUrl } = await serveModels();
    const driver = { description, send: client(url, token), known: knownFor(modelUrl), pool: new Pool() };
    const waiting = [...description.operations];
    const failures: string[] = [];
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        await drive(driver, next).catch((error: Error) => failures.push(reportOf(error)));
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    expect(failures).toEqual([]);
    expect((await call("GET", "/health", { key: null })).body).toEqual({ status: "ok" });
    await expect.poll(async () => (await call("GET", "/ready")).body, { timeout: 15_000 }).toEqual({ ready: true });
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok" });
    expect(sidecar.stderr.split("\n").filter((line) => /"level":"(ERROR|FATAL)"/.test(line))).toEqual([]);
    expect(sidecar.stderr).not.toContain("inside the sidecar");
  });
});

interface Driver {
  description: Description;
  send: Send;
  known: Known;
  pool: Pool;
}

/** Sends what is drawn for one operation, and judges each answer. */
async function drive({ description, send, known, pool }: Driver, described: Described): Promise<void> {
  const { operation, name } = described;
  const takes = operation.parameters !== undefined || operation.requestBody !== undefined;
  const property = fc.asyncProperty(requests(description, described, known, name === "POST /rpc" ? frames(known) : undefined), async (drawn) => {
    await pool.refill(send);
    const sent = { ...drawn.sent, ...pool.filled(drawn.sent) };
    const seen = await send(sent);
    pool.learn(sent, seen);
    const faults = [...faultsOf(description, described, drawn, seen), ...(seen.text.includes(root) ? ["the answer holds a path of this machine"] : [])];
    if (faults.length > 0) throw new Error(`${name}: ${faults.join("; ")}\nsent: ${told(sent)}\ngot: ${seen.status} ${seen.text.slice(0, 1000)}`);
  });
  await fc.assert(property, { numRuns: takes ? RUNS : FEW_RUNS, interruptAfterTimeLimit: MOST_TIME_MS });
}

/** What was found, and the seed that finds it again. */
function reportOf({ message, cause }: Error): string {
  return `${cause instanceof Error ? cause.message : ""}\n${message.slice(0, 200)}`;
}

function told({ method, target, headers, body }: Drawn["sent"]): string {
  return `${method} ${target} ${JSON.stringify(headers)} ${body?.toString("utf8").slice(0, 1000) ?? "no body"}`;
}

/** Model servers are those of the test; files are such as nobody gets. */
function knownFor(modelUrl: string): Known {
  const models = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("echo:any", "openai:test-model", "test-model", "anthropic:claude-test", "openai-compatible:m:n") },
    { weight: 1, arbitrary: fc.stringMatching(/^[^:\s]{1,9}(:\S{1,9})?$/u) },
  );
  const home = fc.constant(`${modelUrl}/v1`);
  const file = fc.constantFrom<object[]>(
    { path: "none.txt" },
    { path: "../../etc/passwd" },
    { path: "/dev/zero" },
    { path: "a\0b" },
    { url: `${modelUrl}/secret` },
    { url: "http://[::ffff:127.0.0.1]/" },
    { url: "http://user:password@127.0.0.1/" },
    { url: "file:///etc/passwd" },
    { url: "javascript:alert(1)" },
    { url: "//" },
  );
  return {
    model: models,
    provider: fc.constantFrom("echo", "openai", "anthropic", "claude", "openai_compat", "nobody"),
    base_url: home,
    baseUrl: home,
    files: fc.array(file, { maxLength: 3 }),
    sessionId: fc.constant(ANY_SESSION),
    streamId: fc.oneof(fc.constant(ANY_STREAM), fc.uuid()),
    prompt: fc.oneof(fc.string({ unit: "grapheme", minLength: 1 }), fc.lorem()),
  };
}

/** What `/rpc` is asked for: no tools, whose arguments would be made up, and no end of the process. */
const callable = [
  "agent.budget.get",
  "agent.chat.cancel",
  "agent.chat.complete",
  "agent.chat.estimate",
  "agent.chat.steer",
  "agent.chat.stream",
  "agent.model.list",
  "agent.session.close",
  "agent.session.compress",
  "agent.session.configure",
  "agent.session.create",
  "agent.session.delete",
  "agent.session.empty",
  "agent.session.fork",
  "agent.session.get",
  "agent.session.list",
  "agent.session.resume",
  "system.identity",
  "system.info",
  "system.ping",
  "trace.fetch",
  "trace.list",
];

function frames(known: Known): fc.Arbitrary<unknown> {
  const definitions = contractDefinitions();
  const resolve = (schema: JsonSchema) => definitions[refName(schema) ?? ""] ?? schema;
  const frame = fc.oneof(
    ...callable.map((method) =>
      fc.record(
        {
          jsonrpc: fc.constant("2.0"),
          method: fc.constant(method),
          id: fc.oneof(fc.integer(), fc.string({ maxLength: 10 }), fc.constant(null), fc.double({ noNaN: true, noDefaultInfinity: true })),
          params: fc.oneof({ weight: 4, arbitrary: fitting(definitions[`${method}.params`]!, resolve, known) }, { weight: 1, arbitrary: anything }),
        },
        { requiredKeys: ["jsonrpc", "method"] },
      ),
    ),
    fc.record({ jsonrpc: anything, method: anything, id: anything, params: anything }, { requiredKeys: [] }),
  );
  return fc.oneof({ weight: 4, arbitrary: frame }, { weight: 1, arbitrary: fc.array(fc.oneof(frame, anything), { maxLength: 8 }) });
}
