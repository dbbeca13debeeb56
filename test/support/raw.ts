import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** Longest wait for anything; only a test that fails takes this long. */
const PATIENCE_MS = 25_000;

/** A connection to a listener on which a test decides about every byte. It is destroyed when the test is over. */
export class RawConnection {
  readonly socket: Socket;
  /** What the listener has sent so far. */
  text = "";
  /** Resolves when the connection is over, whoever ended it and how. */
  readonly closed: Promise<void>;

  constructor(url: string, localAddress?: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port), ...(localAddress === undefined ? {} : { localAddress }) });
    this.socket.setEncoding("utf8").on("data", (part: string) => {
      this.text += part;
    });
    // How it ends is part of what is tested.
    this.socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    onTestFinished(() => void this.socket.destroy());
  }

  /** Resolves when the kernel has taken it, or the connection is over. */
  write(data: string | Buffer): Promise<void> {
    return Promise.race([this.closed, new Promise<void>((resolve) => this.socket.write(data, () => resolve()))]);
  }

  /** Resolves when `pattern` has come. */
  async until(pattern: RegExp): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!pattern.test(this.text)) {
      if (Date.now() > deadline || this.socket.closed) throw new Error(`${String(pattern)} has not come: ${this.text.slice(-1000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The status of each response that has come. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((status) => status !== 100);
  }
}

/** The head of a request to a listener on the loopback. */
export function head(method: string, path: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({ host: "127.0.0.1", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** One chunk of a chunked body. */
export function chunk(data: string): string {
  return `${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`;
}
