import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { ProgramExit, Ward } from "../../custody/custody.ts";
import { loopShare } from "../../loop-share.ts";
import { deeperThan, encodeJson } from "../../rpc/json.ts";
import { LineSplitter } from "../../rpc/lines.ts";
import { atMost } from "../waiting.ts";

/** Longest line that a server may send, and most that may wait for it to read. Bytes. */
export const MOST_BYTES = 16 * 1024 * 1024;
const DEEPEST = 256;
/** Bytes of a line on stderr; longer ones are left out. */
const LONGEST_STDERR = 8 * 1024;
/** Milliseconds that a server has to go by itself once its stdin is closed, and after SIGTERM. */
const LEAVE_MS = 300;
/** How long what a program said last may take to be read when it is gone. */
const LAST_WORDS_MS = 1_000;

/** `code` of the error that a request gets when there will be no answer. Of our own, between those of JSON-RPC and of MCP. */
export const NO_ANSWER = -32098;

/** The only thing that a transport of ours throws: readable, without secrets. */
export class McpTransportError extends Error {
  override name = "McpTransportError";
}

export interface StdioListener {
  stderr(line: string): void;
  /** What was ignored, and why. */
  ignored(what: string): void;
}

/**
 * JSON-RPC lines to and from a program in custody. Nothing piles up: a line that is too long is not
 * kept, and nothing more is taken for a program that does not read.
 */
export class StdioTransport implements Transport {
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: Transport["onmessage"];
  /** How the program came to its end by itself. */
  death: McpTransportError | undefined;
  readonly #ward: Ward;
  readonly #listener: StdioListener;
  /** Requests that the program has not answered. */
  readonly #pending = new Set<string | number>();
  /** What was read last waits for its turn of the event loop. */
  #turn: Promise<void> | undefined;
  #lastWords: NodeJS.Timeout | undefined;
  #ending: Promise<void> | undefined;
  /** That the list of tools has changed was said in the piece of output that is being read. */
  #saidChange = false;

  constructor(ward: Ward, listener: StdioListener) {
    this.#ward = ward;
    this.#listener = listener;
  }

  /** Bytes that the program has not read. */
  get unread(): number {
    return this.#ward.stdin.writableLength;
  }

  async start(): Promise<void> {
    const { stdin, stdout, stderr, exited } = this.#ward;
    const lines = new LineSplitter(
      MOST_BYTES,
      (line) => this.#take(line.toString("utf8")),
      () => this.#tooLong(),
    );
    let isRead = false;
    // A server without one of its streams is of no use, even if it runs on.
    void this.#read(stdout, lines).then(() => {
      isRead = true;
      return this.death === undefined ? this.#soon() : this.close();
    });
    stdin.once("close", () => this.#soon());
    const complaints = new LineSplitter(
      LONGEST_STDERR,
      (line) => this.#listener.stderr(line.toString("utf8")),
      () => this.#listener.ignored(`a line on stderr longer than ${LONGEST_STDERR} bytes`),
    );
    stderr.on("data", (chunk: Buffer) => complaints.push(chunk));
    stderr.once("end", () => complaints.end());
    void exited.then((exit) => {
      if (this.#ending === undefined) this.death = new McpTransportError(describe(exit));
      if (isRead) this.close();
      else this.#soon();
    });
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#ward;
    if (this.#ending !== undefined || !stdin.writable) throw new McpTransportError("it does not run any more");
    const line = Buffer.from(`${encodeJson(message)}\n`);
    if (line.length > MOST_BYTES) throw new McpTransportError(`a message of ${line.length} bytes is too long`);
    if (stdin.writableLength + line.length > MOST_BYTES) throw new McpTransportError("it does not read what it is sent");
    if ("method" in message && "id" in message) this.#pending.add(message.id);
    if ("method" in message && message.method === "notifications/cancelled") this.#cancelled(message.params);
    stdin.write(line);
  }

  /** Ends the program and all that it has started. Idempotent; resolves when they are gone, never rejects. */
  close(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#lastWords);
    this.#ward.stdin.end();
    // Told at once: whoever waits for an answer need not wait for the program to go.
    this.onclose?.();
    await atMost(this.#ward.exited, LEAVE_MS);
    await this.#ward.end(LEAVE_MS);
  }

  /** It reads no more, writes no more or has exited: its last answer may still be in the pipe, and its exit code on its way. */
  #soon(): void {
    if (this.#ending !== undefined || this.#lastWords !== undefined) return;
    this.#awaitLastWords();
  }

  #awaitLastWords(): void {
    this.#lastWords = setTimeout(() => {
      // What was read is late because of us.
      if (this.#turn === undefined) void this.close();
      else void this.#turn.then(() => this.#awaitLastWords());
    }, LAST_WORDS_MS);
  }

  async #read(stdout: Ward["stdout"], lines: LineSplitter): Promise<void> {
    try {
      // Piece by piece, and not by its events: when a program exits, Node lets all that is left of a stream come at once.
      for await (const piece of stdout) {
        // A server that says very much would else keep the event loop to itself. What is left when it is gone is little.
        this.#turn = this.#lastWords === undefined ? loopShare.turn() : undefined;
        if (this.#turn !== undefined) await this.#turn;
        this.#turn = undefined;
        this.#saidChange = false;
        lines.push(piece as Buffer);
      }
      lines.end();
    } catch (error) {
      // What is ended is cut off.
      if (this.#ending === undefined) this.onerror?.(error as Error);
    }
  }

  #take(line: string): void {
    if (this.#ending !== undefined || line.trim() === "") return;
    let value: unknown;
    try {
      if (deeperThan(line, DEEPEST)) return this.#listener.ignored(`a line on stdout that nests deeper than ${DEEPEST} levels`);
      value = JSON.parse(line);
    } catch {
      // Many a server prints a greeting where only messages belong.
      return this.#listener.ignored("a line on stdout that is not JSON");
    }
    // Some versions of MCP know batches.
    for (const message of Array.isArray(value) ? value : [value]) this.#deliver(message);
  }

  #deliver(message: unknown): void {
    if (typeof message !== "object" || message === null) return this.#listener.ignored("a line on stdout that is not a message");
    // Nobody asked for progress, and it does not keep a call alive.
    if ("method" in message && message.method === "notifications/progress") return;
    if ("method" in message && message.method === "notifications/tools/list_changed") {
      // Once is enough: a request for the list is sent later than all that is read here was said.
      if (this.#saidChange) return;
      this.#saidChange = true;
    }
    if ("id" in message && !("method" in message)) this.#pending.delete(message.id as string | number);
    // Whether it is a message of MCP is for the client to find out.
    this.onmessage?.(message as JSONRPCMessage);
  }

  /** Nobody can tell whose answer the line was, and waiting for it would take each call its whole deadline. */
  #tooLong(): void {
    this.#listener.ignored(`a line on stdout longer than ${MOST_BYTES} bytes`);
    for (const id of this.#pending) {
      this.onmessage?.({ jsonrpc: "2.0", id, error: { code: NO_ANSWER, message: `the server sent a line longer than ${MOST_BYTES} bytes` } });
    }
    this.#pending.clear();
  }

  #cancelled(params: Record<string, unknown> | undefined): void {
    const id = params?.["requestId"];
    if (typeof id === "string" || typeof id === "number") this.#pending.delete(id);
  }
}

function describe({ code, signal }: ProgramExit): string {
  return signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`;
}
