import { describe, expect, it } from "vitest";
import type { ListenInfo } from "../../src/client/index.ts";
import { fake, next, real, signal } from "./sidecars.ts";

describe("listenInfo", () => {
  it("says that a sidecar without a listener has its host alone", async () => {
    expect(await (await real()).listenInfo()).toEqual({ transport: "stdio" });
  });

  it("has the address of the listener and the token that was made for it, of each process anew", async () => {
    const sidecar = await real({ args: ["--http", "127.0.0.1:0"], restart: { baseDelayMs: 10 } });
    const first = await reached(await sidecar.listenInfo());
    const again = next(sidecar, "ready");
    if (sidecar.pid !== undefined) signal(sidecar.pid, "SIGKILL");
    await again;
    expect(await reached(await sidecar.listenInfo())).not.toBe(first);
  });

  it("waits for its deadline where a sidecar has written the marker alone", async () => {
    const sidecar = await fake("marker()", { health: false });
    await expect(sidecar.listenInfo({ timeoutMs: 50 })).rejects.toMatchObject({ kind: "timeout" });
    await expect(sidecar.listenInfo({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: "cancelled" });
  });

  it("rejects where the process ends before it has told", async () => {
    const sidecar = await fake("marker()", { health: false, restart: false });
    const told = sidecar.listenInfo();
    if (sidecar.pid !== undefined) signal(sidecar.pid, "SIGKILL");
    await expect(told).rejects.toMatchObject({ kind: "transport_closed", data: { signal: "SIGKILL" } });
  });
});

/** The token, once it was seen to let in whoever has it, and nobody else. */
async function reached({ http }: ListenInfo): Promise<string> {
  const [url = "", token = ""] = [http?.url, http?.token];
  const answers = [`Bearer ${token}`, "Bearer of-something-else"].map((authorization) => fetch(`${url}/v1/info`, { headers: { authorization } }));
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 401]);
  return token;
}
