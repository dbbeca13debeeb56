import type { ServerResponse } from "node:http";
import { encodeJson } from "../../../rpc/json.ts";

/** What a client may leave unread before its stream waits for it. Bytes. */
const HIGH_WATER = 256 * 1024;
/** Silence after which a comment is sent, so that proxies keep the connection. Milliseconds. */
const KEEP_ALIVE_MS = 15_000;

export interface SentEvent {
  event: string;
  /** Becomes JSON. */
  data: unknown;
  id?: number;
}

/** Server-sent events on one response. */
export class EventWriter {
  readonly #response: ServerResponse;
  /** Resolves when the response is over, whoever ended it. */
  readonly closed: Promise<void>;
  #keepAlive: NodeJS.Timeout | undefined;
  /** What was sent in this turn of the event loop. */
  #gathered = "";
  /** True once nothing more can be sent. */
  isOver = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.closed = new Promise((resolve) => {
      response.once("close", () => {
        this.isOver = true;
        clearInterval(this.#keepAlive);
        resolve();
      });
    });
  }

  /** Sends the head. `headers` come on top of those of an event stream. */
  open(headers: Record<string, string | string[] | number>): void {
    // Nobody would end the interval.
    if (this.isOver) return;
    this.#response.writeHead(200, { ...headers, "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
    this.#response.flushHeaders();
    this.#keepAlive = setInterval(() => {
      // A client that reads nothing is not helped by more to read.
      if (!this.#response.writableNeedDrain) this.#write(": keep-alive\n\n");
    }, KEEP_ALIVE_MS);
    this.#keepAlive.unref();
  }

  send({ event, data, id }: SentEvent): void {
    this.#write(eventText(event, encodeJson(data), id));
    this.#keepAlive?.refresh();
  }

  /** Sends whole events that are encoded already, at once and without a copy. */
  sendBytes(events: Buffer): void {
    this.#flush();
    if (!this.isOver) this.#response.write(events);
    this.#keepAlive?.refresh();
  }

  /** Undefined when more may be sent; otherwise resolves when the client has caught up, or is gone. */
  ready(): Promise<void> | undefined {
    const response = this.#response;
    if (this.isOver || response.writableLength + this.#gathered.length < HIGH_WATER) return undefined;
    this.#flush();
    if (response.writableLength < HIGH_WATER) return undefined;
    return new Promise((resolve) => {
      const settle = () => {
        response.off("drain", settle).off("close", settle);
        resolve();
      };
      response.once("drain", settle).once("close", settle);
    });
  }

  end(): void {
    clearInterval(this.#keepAlive);
    this.#flush();
    if (!this.isOver) this.#response.end();
    this.isOver = true;
  }

  /** Ends the connection, whatever the client has left unread. */
  cut(): void {
    this.end();
    this.#response.destroy();
  }

  #write(text: string): void {
    if (this.isOver) return;
    // Written at once when the turn is over: a write for each event costs more than the event.
    if (this.#gathered === "") setImmediate(() => this.#flush());
    this.#gathered += text;
  }

  #flush(): void {
    const text = this.#gathered;
    this.#gathered = "";
    if (text !== "" && !this.isOver) this.#response.write(text);
  }
}

/** An event as it goes over the wire. `json` holds no line end, as no JSON of ours does. */
export function eventText(event: string, json: string, id?: number): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${json}\n\n`;
}
