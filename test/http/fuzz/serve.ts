import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenApiDocument } from "../../../src/generate/openapi/document.ts";
import { messagesOf, startModel, toolsOf } from "../../support/agent.ts";
import { type HttpSidecar, spawnHttp } from "../../support/http.ts";
import { anthropicStream } from "../../support/model-server.ts";
import { temporaryFolder } from "../../support/sidecar.ts";
import { Description } from "./description.ts";

export interface Served extends HttpSidecar {
  /** What the listener says of itself. */
  description: Description;
  /** Of the model server, without a path. */
  modelUrl: string;
}

/** A sidecar whose models always answer, and that may be asked as often as one likes. */
export async function serveModels(): Promise<Served> {
  const model = await startModel((request, answer) => {
    if (request.path.endsWith("/messages")) return answer.sse(anthropicStream(["As you say."])).then(() => undefined);
    // Now and then a call of a tool that there is not.
    const last = messagesOf(request).at(-1);
    const calls = toolsOf(request).length > 0 && last?.role === "user" && JSON.stringify(last.content).length % 4 === 0;
    return calls ? [{ id: "call_1", name: "no_such_tool" }] : "As you say.";
  });
  const once = { attempts: 1 };
  const config = {
    model: "openai:test-model",
    providers: {
      openai: { baseUrl: `${model.url}/v1`, apiKey: "key-of-one-server", retry: once },
      anthropic: { baseUrl: model.url, apiKey: "key-of-the-other-server", retry: once },
    },
  };
  const file = join(temporaryFolder(), "config.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const http = await spawnHttp({ args: ["--config", file, "--rate-limit", "0", "--max-sessions", "100000"] });
  const { body } = await http.call<OpenApiDocument>("GET", "/openapi.json");
  return { ...http, description: new Description(body), modelUrl: model.url };
}
