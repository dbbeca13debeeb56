import { execFileSync } from "node:child_process";
import { Script } from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openai } from "../../src/providers/openai.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { ask, textIn } from "./ask.ts";

/** As far as it is used here: the types of Node 20 leave it to those of browsers. */
declare const WebAssembly: { Module: new (bytes: Uint8Array) => object };

const code = "(function answer() { return 42; })()";
const original = WebAssembly.Module;

/** Code caches made each time that WebAssembly is compiled: they tell under which flags of V8. */
const caches: Buffer[] = [];

describe("the HTTP parser", () => {
  beforeAll(() => {
    WebAssembly.Module = class extends original {
      constructor(bytes: Uint8Array) {
        caches.push(codeCache());
        super(bytes);
      }
    };
  });
  afterAll(() => {
    WebAssembly.Module = original;
  });

  it("is compiled once, under flags that hold for it alone", async () => {
    const server = await startModelServer((_request, answer) => answer.sse(openaiStream(["Hello"])));
    const before = codeCache();
    for (const connectTimeoutMs of [5000, 6000]) expect(textIn(await ask(openai, { baseUrl: server.url, connectTimeoutMs }))).toBe("Hello");
    await server.close();
    expect(caches).toHaveLength(1);
    expect([before, ...caches, codeCache()].map(isRejected)).toEqual([false, true, false]);
  });
});

function codeCache(): Buffer {
  return new Script(code, { filename: "answer.js" }).createCachedData();
}

/** Whether a fresh process of this Node, with the flags that V8 begins with, refuses the cache. */
function isRejected(cache: Buffer): boolean {
  const check = `const script = new (require("node:vm").Script)(process.argv[1], { filename: "answer.js", cachedData: Buffer.from(process.argv[2], "base64") });
    process.stdout.write(String(script.cachedDataRejected));`;
  const said = execFileSync(process.execPath, ["-e", check, code, cache.toString("base64")], { encoding: "utf8", env: {} });
  if (said !== "true" && said !== "false") throw new Error(`the check said ${JSON.stringify(said)}`);
  return said === "true";
}
