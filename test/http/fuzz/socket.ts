import { connect } from "node:net";
import { onTestFinished } from "vitest";

/** What a client does when it has sent its bytes: waits for the end of the connection, or ends it itself, in order or not. */
export type Ending = "wait" | "leave" | "reset";

/** Longest wait for the end of a connection; only a test that fails takes this long. */
const PATIENCE_MS = 20_000;

/** Sends bytes as they are. Resolves with all that came back, as latin1, when the connection is over; rejects where it never is. */
export function sendBytes(url: string, bytes: string | Uint8Array, ending: Ending = "wait"): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  // The other side may end it while we still write.
  socket.on("error", () => undefined);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the connection is still open; so far: ${JSON.stringify(text.slice(0, 500))}`));
      socket.destroy();
    }, PATIENCE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => {
      if (ending === "leave") socket.end();
      if (ending === "reset") socket.resetAndDestroy();
    });
  });
}

export interface RawAnswer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  text: string;
}

/** The answers in what came back, one after the other. Throws for anything that is none, or is cut off. */
export function answersIn(bytes: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = bytes; rest !== ""; ) {
    const [head, status] = /^HTTP\/1\.1 (\d{3}) [^\r\n]+\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`this is no answer: ${JSON.stringify(rest.slice(0, 300))}`);
    const headers = Object.fromEntries([...head.matchAll(/^([^:\r\n]+): (.*)\r$/gm)].map(([, name, value]) => [name!.toLowerCase(), value!]));
    const end = head.length + Number(headers["content-length"] ?? 0);
    if (rest.length < end) throw new Error(`this answer is cut off: ${JSON.stringify(rest)}`);
    answers.push({ status: Number(status), headers, text: rest.slice(head.length, end) });
    rest = rest.slice(end);
  }
  return answers;
}
