import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { spawnHttp } from "../support/http.ts";
import { head, RawConnection } from "../support/raw.ts";
import { until } from "../support/until.ts";

describe("a connection that was refused", { timeout: 60_000 }, () => {
  it("is ended by the listener where the client never ends its side", async () => {
    const { url } = await spawnHttp();
    const { hostname, port } = new URL(url);
    const refused = ["", "GET /hea", "no HTTP at all\r\n\r\n"].map(async (sent) => {
      let text = "";
      const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
      onTestFinished(() => void socket.destroy());
      const ended = new Promise<void>((resolve) => socket.once("end", resolve));
      socket.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      // Being reset is what is waited for.
      socket.on("error", () => undefined);
      socket.write(sent);
      await ended;
      expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
      // What is sent to a connection that is gone is answered with a reset.
      await until(() => {
        socket.write("x");
        return socket.destroyed;
      }, "the end of the connection");
    });
    await Promise.all(refused);
  });
});

describe("a request with two keys", () => {
  it("is not let in, whichever of them is good", async () => {
    const { url, token } = await spawnHttp();
    const good = `Bearer ${token}`;
    for (const keys of [
      [good, "Bearer another"],
      ["Bearer another", good],
      [good, good],
    ]) {
      const client = new RawConnection(url);
      const lines = keys.map((key) => `authorization: ${key}\r\n`).join("");
      await client.write(`${head("GET", "/v1/info", { connection: "close" }).slice(0, -2)}${lines}\r\n`);
      await client.closed;
      expect(client.statuses).toEqual([401]);
    }
  });
});
