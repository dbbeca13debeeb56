import { type ClientRequest, type IncomingMessage, request as ask } from "node:http";
import { onTestFinished } from "vitest";
import { spawnSidecar, type SpawnSidecarOptions, type TestSidecar } from "./sidecar.ts";

export interface Answer<T = Record<string, unknown>> {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  /** Undefined where the body is no JSON. */
  body: T;
}

export interface Asking {
  /** Sent as `Authorization: Bearer`; null sends none. */
  key?: string | null;
  headers?: Record<string, string>;
  /** Becomes JSON; a string or bytes are sent as they are. */
  body?: unknown;
  signal?: AbortSignal;
}

/** A real sidecar with an open listener. */
export interface HttpSidecar {
  sidecar: TestSidecar;
  url: string;
  /** Of the run; what is sent where a test says nothing else. */
  token: string | undefined;
  call<T = Record<string, unknown>>(method: string, path: string, asking?: Asking): Promise<Answer<T>>;
  /** The request itself, for those who look at the wire. Its end is the test's business. */
  open(method: string, path: string, asking?: Asking): ClientRequest;
}

/** Starts a sidecar with `--http 127.0.0.1:0` beside what the options say. It is killed when the test is over. */
export async function spawnHttp(options: SpawnSidecarOptions = {}): Promise<HttpSidecar> {
  const sidecar = spawnSidecar({ ...options, args: ["--storage-path", ":memory:", "--http", "127.0.0.1:0", ...(options.args ?? [])] });
  const ready = await sidecar.notification("lifecycle.ready");
  const { listenInfo } = ready.params as unknown as { listenInfo: { http: { url: string; token?: string } } };
  const { url, token } = listenInfo.http;
  return { sidecar, url, token, ...askerOf(url, token) };
}

/** Requests to a listener, each on a connection of its own. */
export function askerOf(url: string, token: string | undefined): Pick<HttpSidecar, "call" | "open"> {
  const open = (method: string, path: string, { key = token, headers = {}, body, signal }: Asking = {}): ClientRequest => {
    const bytes = body === undefined ? undefined : typeof body === "string" || Buffer.isBuffer(body) ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
    const request = ask(`${url}${path}`, {
      method,
      agent: false,
      headers: {
        ...(key === null || key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(bytes === undefined ? {} : { "content-type": "application/json", "content-length": String(bytes.length) }),
        ...headers,
      },
      ...(signal === undefined ? {} : { signal }),
    });
    onTestFinished(() => void request.destroy());
    // A test that waits for the answer hears of it there.
    request.on("error", () => undefined);
    request.end(bytes);
    return request;
  };
  const call = <T>(method: string, path: string, asking?: Asking): Promise<Answer<T>> =>
    new Promise((resolve, reject) => {
      const request = open(method, path, asking);
      request.once("error", reject);
      request.once("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.once("error", reject);
        response.once("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: jsonOf(text) as T }));
      });
    });
  return { open, call };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
