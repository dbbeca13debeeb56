import { EventSource } from "eventsource";
import { onTestFinished } from "vitest";

/** An event as the client was told it. */
export interface SeenEvent {
  event: string;
  id: string;
  data: Record<string, unknown>;
}

export interface Followed {
  events: SeenEvent[];
  /** `Last-Event-ID` of each connection, in order; undefined where it sent none. */
  connections: (string | undefined)[];
  /** Status that made the client give up: 204 after the end. */
  gaveUp: Promise<number | undefined>;
  /** Resolves when there are so many events. */
  seen(count: number): Promise<void>;
  close(): void;
}

export interface Following {
  key?: string | undefined;
  /** Where a connection breaks, given its text so far; undefined while it may go on. */
  breakAfter?: (text: string, connection: number) => number | undefined;
}

/** Names of the notifications of a stream. */
const NAMES = ["stream.chunk", "stream.done", "stream.error", "stream.status"];

/** Reads the events of a stream with a client that connects again, as browsers do, until the listener says that there is no more. */
export function follow(url: string, streamId: string, { key, breakAfter }: Following = {}): Followed {
  const events: SeenEvent[] = [];
  const connections: (string | undefined)[] = [];
  const watchers = new Set<() => void>();
  const source = new EventSource(`${url}/v1/streams/${streamId}/events`, {
    async fetch(address, init) {
      const connection = connections.length;
      const headers = new Headers(init.headers);
      connections.push(headers.get("last-event-id") ?? undefined);
      if (key !== undefined) headers.set("authorization", `Bearer ${key}`);
      const broken = new AbortController();
      const signal = AbortSignal.any([broken.signal, ...(init.signal instanceof AbortSignal ? [init.signal] : [])]);
      const response = await fetch(address, { ...init, headers, signal } as RequestInit);
      const body = response.body === null ? null : response.body.pipeThrough(breaking(broken, (text) => breakAfter?.(text, connection)));
      return { body, url: response.url, status: response.status, redirected: response.redirected, headers: response.headers };
    },
  });
  for (const name of NAMES) {
    source.addEventListener(name, ({ data, lastEventId }) => {
      events.push({ event: name, id: lastEventId, data: JSON.parse(data) as Record<string, unknown> });
      for (const watch of watchers) watch();
    });
  }
  const gaveUp = new Promise<number | undefined>((resolve) => {
    source.addEventListener("error", ({ code }) => {
      if (source.readyState === source.CLOSED) resolve(code);
    });
  });
  onTestFinished(() => source.close());
  const seen = (count: number) =>
    new Promise<void>((resolve) => {
      const watch = () => {
        if (events.length >= count) resolve();
      };
      watchers.add(watch);
      watch();
    });
  return { events, connections, gaveUp, seen, close: () => source.close() };
}

/** Breaks the connection where `where` says. The client is told to come back at once. */
function breaking(broken: AbortController, where: (text: string) => number | undefined): TransformStream<Uint8Array, Uint8Array> {
  let text = "";
  let passed = 0;
  return new TransformStream({
    start: (controller) => controller.enqueue(Buffer.from("retry: 1\n\n")),
    transform(chunk, controller) {
      text += Buffer.from(chunk).toString("latin1");
      const end = where(text);
      controller.enqueue(Buffer.from(text.slice(passed, end), "latin1"));
      passed = text.length;
      if (end === undefined) return;
      controller.terminate();
      broken.abort();
    },
  });
}
