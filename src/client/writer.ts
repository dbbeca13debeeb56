import type { Writable } from "node:stream";
import { AbstractMessageWriter, type Message, type MessageWriter } from "vscode-jsonrpc/node";
import { encodeJson } from "../rpc/json.ts";

interface Queued {
  line: string;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Writes JSON-RPC messages, one JSON object a line, in the order of the calls. While the other side
 * does not read, lines wait here: a promise resolves when the stream has room for its line.
 */
export class NewlineMessageWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #output: Writable;
  #queue: Queued[] = [];
  #broken: Error | undefined;

  constructor(output: Writable) {
    super();
    this.#output = output;
    output.on("drain", () => this.#pump());
    output.on("close", () => this.#break(new Error("The sidecar takes no more messages")));
    // Stays attached after `dispose`: a pipe may fail late, and that must not end the host.
    output.on("error", (error) => this.#break(error));
  }

  /** True once nothing can be written any more. */
  get broken(): boolean {
    return this.#broken !== undefined || this.#output.writableEnded;
  }

  /** Rejects when the message is not JSON, or the other side is gone. */
  async write(message: Message): Promise<void> {
    const line = `${encodeJson(message)}\n`;
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#output.writableEnded) throw new Error("The input of the sidecar was closed");
    return new Promise((resolve, reject) => {
      this.#queue.push({ line, resolve, reject });
      this.#pump();
    });
  }

  /** Closes the input of the other side, behind what was written before. */
  end(): void {
    for (const { line, resolve } of this.#queue.splice(0)) {
      this.#output.write(line);
      resolve();
    }
    this.#output.end();
  }

  #pump(): void {
    while (this.#queue.length > 0 && !this.#output.writableNeedDrain) {
      const { line, resolve } = this.#queue.shift() as Queued;
      this.#output.write(line);
      resolve();
    }
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    for (const { reject } of this.#queue.splice(0)) reject(error);
    this.fireClose();
  }
}
