import type { Sidecar, SpawnOptions } from "../../src/client/index.ts";
import { fake, next } from "./sidecars.ts";

/** A frame as it stands on the wire. */
export type Frame = Record<string, unknown>;

/** Answers each request with `{}`, tells of every other frame in a notification `saw`, and sends what `say` asks for. */
const OBEDIENT = `
const seen = [];
on = (frame) => {
  const { id, method, params } = frame;
  if (method === "system.children") { send({ id, result: seen }); return; }
  if (method === "config.set") { process.stdout.write(params.frames.map((said) => JSON.stringify({ jsonrpc: "2.0", ...said }) + "\\n").join("")); send({ id, result: null }); return; }
  if (method === "system.shutdown") process.exit(0);
  seen.push(frame);
  if (refused(frame)) send({ id, error: { code: -32602, message: "refused", data: {} } });
  else if (id !== undefined && method !== undefined) send({ id, result: {} });
  else send({ method: "saw", params: frame });
};
`;

/** `body` may set `refused`, which says of a frame whether it is answered with an error. */
export function obedient(options: SpawnOptions = {}, body = ""): Promise<Sidecar> {
  return fake(`let refused = () => false; ${OBEDIENT} ${body}; ready()`, { health: false, ...options });
}

/** Has the fake send frames, all in one go. */
export async function say(sidecar: Sidecar, ...frames: Frame[]): Promise<void> {
  await sidecar.config.set({ frames });
}

/** Has the fake send a request; resolves with what it is answered, without what every frame has. */
export async function ask(sidecar: Sidecar, id: string, method: string, params?: unknown): Promise<Frame> {
  const told = answer(sidecar, id);
  await say(sidecar, { id, method, params });
  return told;
}

/** What the fake is answered to its request of that id. Ask before you cause it. */
export async function answer(sidecar: Sidecar, id: string): Promise<Frame> {
  for (;;) {
    const { method, params } = (await next(sidecar, "notification")) as unknown as { method: string; params: Frame };
    const { jsonrpc: _version, id: answered, ...rest } = params;
    if (method === "saw" && answered === id) return rest;
  }
}

/** What the fake was sent so far, beside what the helpers here send. */
export async function sent(sidecar: Sidecar): Promise<Frame[]> {
  return (await sidecar.children()) as unknown as Frame[];
}

/** A promise, and what settles it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
