import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startModel } from "../support/agent.ts";
import { expectError, readEvents, spawnConfigured, workspace } from "../support/completions.ts";
import { until } from "../support/until.ts";
import type { HttpSidecar } from "../support/http.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";

describe("the deadline of a request", () => {
  const hanging = async () => {
    const model = await startModelServer(async (_, answer) => {
      await answer.head(200);
      await answer.chunk(openaiStream(["so far"]).slice(0, 2).join(""));
    });
    onTestFinished(() => model.close());
    return model;
  };

  it("stops the turn: 504, or the event `error` and the end of the stream", { timeout: 60_000 }, async () => {
    const model = await hanging();
    const http = await spawnConfigured({ model, config: { api: { request_timeout_seconds: 8 } } });
    // What is loaded with the first request takes none of the time of those that follow.
    expect(await http.call("GET", "/v1/info")).toMatchObject({ status: 200 });
    const [answer, events] = await Promise.all([
      http.call("POST", "/v1/completions", { body: { prompt: "Go" } }),
      readEvents(http, "/v1/completions", { prompt: "Go" }),
    ]);
    expectError(answer, 504, "timeout");
    expect(events.slice(1)).toEqual([
      ["assistant_delta", { text: "so far" }],
      ["error", { error: { code: "timeout", message: "The request took too long", request_id: events[0]?.[1].request_id } }],
    ]);
    await Promise.all(model.requests.map(({ closed }) => closed));
    expect(await http.call("GET", "/v1/info")).toMatchObject({ status: 200 });
  });

  it("cuts off clients that do not take what they are sent, a while later", { timeout: 120_000 }, async () => {
    const model = await startModelServer((_, answer) => answer.sse(openaiStream(Array.from({ length: 256 }, () => "x".repeat(64 * 1024)))));
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model, config: { api: { request_timeout_seconds: 20 } } });
    const statuses = [false, true].map(
      (stream) =>
        new Promise((resolve) => {
          const request = http.open("POST", "/v1/completions", { body: { prompt: "Go", stream } });
          // Without a reader the response stays in the buffers, which do not hold it.
          request.once("response", ({ statusCode }) => resolve(statusCode));
        }),
    );
    expect(await Promise.all(statuses)).toEqual([200, 200]);
    expect(logged(http)).toEqual([]);
    await until(() => logged(http).length === 2 || undefined, "both requests to be over", 60_000);
  });
});

describe("a client that leaves in the middle", () => {
  it("has its turn cancelled, and what was said is kept in the session", async () => {
    const model = await startModelServer(async (_, answer) => {
      await answer.head(200);
      await answer.chunk(openaiStream(["so far"]).slice(0, 2).join(""));
    });
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model, config: { trace: { events: true } } });
    const heard = () => http.sidecar.frames.flat().filter(({ method, params }) => method === "trace.event" && params?.["name"] === "llm.first_event").length;
    for (const stream of [true, false]) {
      const { body: session } = await http.call<{ id: string }>("POST", "/v1/sessions", { body: {} });
      const before = heard();
      const request = http.open("POST", `/v1/sessions/${session.id}/completions`, { body: { prompt: "Go", stream } });
      const asked = await model.nextRequest();
      // Without a stream nothing else tells that the first words have come.
      await http.sidecar.until(() => heard() === before + 1, "the first words");
      request.destroy();
      await asked.closed;
      const kept = await until(async () => {
        const { messages } = (await http.call<{ messages: object[] }>("GET", `/v1/sessions/${session.id}`)).body;
        return messages.length === 2 ? messages : undefined;
      }, "the partial answer");
      expect(kept).toMatchObject([
        { role: "user", content: "Go", partial: false },
        { role: "assistant", content: "so far", partial: true },
      ]);
    }
    await http.sidecar.until(() => http.sidecar.stderr.split('"status":499').length === 3, "two log lines of clients that were gone");
  });

  it("takes the tools of its turn along, as the deadline does", { timeout: 60_000 }, async () => {
    const { folder } = workspace();
    const model = await startModel([[{ id: "tc_1", name: "run_command", arguments: { command: "echo $$ > pid.new && mv pid.new pid && exec sleep 600" } }]]);
    const tools = { builtin: ["run_command"], roots: [folder] };
    const policy = { modes: { destructive: "allow", other: "allow" }, tools: { run_command: "allow" } };
    const http = await spawnConfigured({ model, config: { tools, policy, api: { request_timeout_seconds: 10 } } });
    expect(await http.call("GET", "/v1/info")).toMatchObject({ status: 200 });
    for (const [leaves, stream] of [
      [true, true],
      [true, false],
      [false, true],
    ] as const) {
      const request = http.open("POST", "/v1/completions", { body: { prompt: "Go", stream } });
      request.once("response", (response) => response.resume());
      const pid = await until(() => (existsSync(join(folder, "pid")) ? Number(readFileSync(join(folder, "pid"), "utf8")) : undefined), "the command");
      if (leaves) request.destroy();
      await until(() => isGone(pid) || undefined, "the command to be ended");
      rmSync(join(folder, "pid"));
    }
  });

  it("leaves nothing behind when it was gone before the turn began", async () => {
    const model = await startModelServer(() => undefined);
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model });
    for (let round = 0; round < 20; round++) {
      const request = http.open("POST", "/v1/completions", { body: { prompt: "Go", stream: round % 2 === 0 } });
      request.once("finish", () => setTimeout(() => request.destroy(), round));
    }
    await http.sidecar.until(() => logged(http).length === 20, "every request to be over");
    await until(async () => (await http.sidecar.call("system.ping"))["activeTraces"] === 0 || undefined, "every turn to be over");
    await Promise.all(model.requests.map(({ closed }) => closed));
    expect(http.sidecar.stderr).not.toContain("failed inside");
  });
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    // There is no such process.
    return true;
  }
}

/** The lines about completions in the log. */
function logged({ sidecar }: HttpSidecar): string[] {
  return sidecar.stderr.split("\n").filter((line) => line.includes('"route":"POST /v1/completions"'));
}
