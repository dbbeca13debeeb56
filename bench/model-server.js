/** The local model server, in a process of its own. */
import { fileURLToPath } from "node:url";
import { Peer } from "./peer.js";

/** Starts it; resolves with its address and its process. */
export async function startModelServer() {
  const peer = new Peer([fileURLToPath(import.meta.resolve("./peers/model-server.js"))]);
  const [line] = await peer.lines(1);
  return { baseUrl: `http://127.0.0.1:${JSON.parse(line).port}/v1`, peer };
}

/** Bytes of answers that the network has taken so far. */
export async function bytesSent({ peer }) {
  const answered = peer.lines(1);
  await peer.write(["\n"]);
  return JSON.parse((await answered)[0]).sent;
}
