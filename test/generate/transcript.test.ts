import { describe, expect, it } from "vitest";
import { type Frame, spawnSidecar, temporaryFolder } from "../support/sidecar.ts";
import { transcripts } from "./document.ts";

/** Values that differ from run to run. */
const varying = new Set(["sessionId", "streamId", "turnId", "messageId", "traceId", "createdAt", "updatedAt", "pid", "uptimeMs", "platform", "message"]);

describe("the first session in protocol.md", () => {
  it("is what the process says when a host follows it line by line", async () => {
    const [transcript] = transcripts;
    const sidecar = spawnSidecar({ args: ["--storage-path", `${temporaryFolder()}/sidecar.db`] });
    await sidecar.notification("lifecycle.ready");
    let sessionId = "";
    for (const { from, text } of transcript!) {
      if (from !== "host") continue;
      const request = JSON.parse(text.replaceAll(/sess_\w+/g, sessionId)) as Frame;
      sidecar.send(request);
      const { result } = await sidecar.reply(request.id as number);
      const { sessionId: session, streamId: stream } = (result ?? {}) as { sessionId?: string; streamId?: string };
      if (session !== undefined) sessionId = session;
      if (stream !== undefined) await sidecar.terminal(stream);
    }
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });

    const expected = transcript!.filter(({ from }) => from === "sidecar").map(({ text }) => JSON.parse(text) as Frame);
    expect(withoutVariation(sidecar.frames.flat())).toEqual(withoutVariation(expected));

    const marker = transcript!.find(({ from }) => from === "stderr")!.text;
    const actual = sidecar.stderr.split("\n").find((line) => line.startsWith("__SIDECAR_READY__:"))!;
    expect(withoutVariation(JSON.parse(actual.slice(18)))).toEqual(withoutVariation(JSON.parse(marker.slice(18))));
  });
});

function withoutVariation(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, item: unknown) => (varying.has(key) ? `<${key}>` : item))) as unknown;
}
