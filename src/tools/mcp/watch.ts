import type { Log } from "../../log.ts";
import type { StdioListener } from "./stdio.ts";

/** Records in the log that one server may cause within a second. */
const MOST_A_SECOND = 50;
/** Characters of a line on stderr that are logged, and of the last one that is kept. */
const LONGEST = 1000;

/** Logs at DEBUG what a server prints and what is ignored of it, as much as a log can take. */
export class Watch implements StdioListener {
  readonly #server: string;
  readonly #log: Log;
  readonly #now: () => number;
  #second = 0;
  #count = 0;
  /** What it printed last to stderr: often why it died. */
  lastWords: string | undefined;

  constructor(server: string, log: Log, now: () => number) {
    this.#server = server;
    this.#log = log;
    this.#now = now;
  }

  stderr(line: string): void {
    const text = line.trim().slice(0, LONGEST);
    if (text === "") return;
    this.lastWords = text;
    if (this.#mayLog()) this.#log.debug({ server: this.#server, line: text }, "MCP server printed to stderr");
  }

  ignored(what: string): void {
    if (this.#mayLog()) this.#log.debug({ server: this.#server, what: what.slice(0, LONGEST) }, "ignored something of an MCP server");
  }

  #mayLog(): boolean {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) this.#count = 0;
    this.#second = second;
    this.#count++;
    if (this.#count === MOST_A_SECOND + 1) this.#log.debug({ server: this.#server }, "more of this MCP server is not logged in this second");
    return this.#count <= MOST_A_SECOND;
  }
}
