import { setTimeout as delay } from "node:timers/promises";
import type { McpServer } from "../../contract/config.ts";
import type { Custody } from "../../custody/custody.ts";
import type { Log } from "../../log.ts";
import { type Tool, ToolFailure, type ToolMode } from "../tool.ts";
import { deadline, until } from "../waiting.ts";
import { Attempts } from "./attempts.ts";
import { callOn } from "./call.ts";
import { Connection } from "./connection.ts";
import { reasonOf } from "./failures.ts";
import type { ListedTool } from "./listing.ts";
import { offeredNames } from "./names.ts";
import type { Library } from "./remote.ts";
import { McpTransportError } from "./stdio.ts";
import { Watch } from "./watch.ts";

/** Changes of a list that come within this time are read together. Milliseconds. */
const DEBOUNCE_MS = 200;

/** What all servers share. */
export interface McpDeps {
  custody: Custody;
  /** What the few variables that a program needs are taken from. */
  env: NodeJS.ProcessEnv;
  log: Log;
  /** Milliseconds. */
  now(): number;
  /** A server offers other tools than it did when its tools were asked for last. */
  onChange(): void;
  /** Deadline of calls, in milliseconds, for servers that have none of their own. */
  timeoutMs: number;
}

export interface ServerDeps extends McpDeps {
  /** Names of the other servers. */
  others: readonly string[];
  loadLibrary(): Promise<Library>;
}

/** One MCP server: started on first use and, within bounds, again when it has died. */
export class Server {
  readonly #name: string;
  readonly #config: McpServer;
  readonly #deps: ServerDeps;
  readonly #attempts: Attempts;
  readonly #closing = new AbortController();
  #library: Library | undefined;
  #connection: Connection | undefined;
  #starting: Promise<Connection> | undefined;
  #tools: readonly Tool[] = [];
  /** What the server listed last, as text. */
  #listed = NOTHING;
  /** The list that others go by; undefined as long as nobody has asked. */
  #shown: string | undefined;
  /** The server has said that its list has changed. */
  #stale = false;
  #refreshing: Promise<void> | undefined;
  /** Why it cannot be used, as the log says it. */
  #problem: string | undefined;

  constructor(name: string, config: McpServer, deps: ServerDeps) {
    this.#name = name;
    this.#config = config;
    this.#deps = deps;
    this.#attempts = new Attempts(config.command !== undefined);
  }

  /** The client library, once it is loaded. */
  get library(): Library | undefined {
    return this.#library;
  }

  get startTimeoutMs(): number {
    return this.#config.startTimeoutMs;
  }

  /** How many tools it has, as far as it is running. */
  get known(): number {
    return this.#connection?.open === true ? this.#tools.length : 0;
  }

  /**
   * Its tools; none when it cannot be used. A start is waited for, unless the one before has failed:
   * then it goes on behind, and `onChange` is called when it succeeds. Never rejects.
   */
  async tools(): Promise<readonly Tool[]> {
    const impatient = this.#attempts.failing;
    // Why it cannot be used is in the log.
    const usable = this.use().then(
      () => true,
      () => false,
    );
    const tools = impatient || !(await usable) ? [] : this.#tools;
    this.#shown = tools.length === 0 ? NOTHING : this.#listed;
    return tools;
  }

  /** One of its tools; as it was last, when the server cannot be used: a call then says why. Never rejects. */
  async find(name: string): Promise<Tool | undefined> {
    await this.tools();
    return this.#tools.find((tool) => tool.name === name);
  }

  /** Ends the server. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort(new McpTransportError("it is being closed"));
    const connection = this.#connection;
    this.#connection = undefined;
    await Promise.all([connection?.close(), this.#starting?.catch(() => undefined), this.#refreshing]);
  }

  /** The connection; the server is started when there is none. Rejects with a `ToolFailure`. */
  async use(): Promise<Connection> {
    if (this.#connection?.open === true) return this.#connection;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return await this.#starting;
  }

  /** The connection is of no use any more: the next use makes another one. */
  drop(connection: Connection, error: unknown): void {
    void connection.close();
    this.#lost(connection, error);
  }

  async #start(): Promise<Connection> {
    const { custody, env, log, now, loadLibrary } = this.#deps;
    const { startTimeoutMs, command } = this.#config;
    const refusal = this.#closing.signal.aborted ? "it is being closed" : this.#attempts.refusal(now());
    if (refusal !== undefined) throw this.#unavailable(refusal);
    this.#attempts.started(now());
    this.#stale = false;
    const start = deadline(startTimeoutMs, () => new McpTransportError(`it was not ready within ${startTimeoutMs} ms`), this.#closing.signal);
    const watch = new Watch(this.#name, log, now);
    let connection: Connection | undefined;
    try {
      const library = await until(loadLibrary(), start.signal);
      this.#library = library;
      const toolsChanged = () => this.#changed();
      const lost = (error: unknown) => this.#lost(connection, error);
      connection = await Connection.open(this.#name, this.#config, { library, custody, env, watch, toolsChanged, lost }, start.signal, startTimeoutMs);
      const listed = await connection.listTools(start.signal, startTimeoutMs);
      start.signal.throwIfAborted();
      this.#connection = connection;
      this.#attempts.succeeded();
      this.#problem = undefined;
      log.info({ server: this.#name, tools: listed.length }, "MCP server is ready");
      this.#offer(listed);
      if (this.#stale) this.#changed();
      return connection;
    } catch (error) {
      const reason = reasonOf(error, this.#library, command);
      this.#attempts.failed(now(), reason);
      await connection?.close();
      throw this.#unavailable(reason, watch.lastWords);
    } finally {
      start.clear();
    }
  }

  /** The server has ended by itself, or had to be given up. */
  #lost(connection: Connection | undefined, error: unknown): void {
    if (connection === undefined || this.#connection !== connection) return;
    this.#connection = undefined;
    this.#complain(error === undefined ? "it closed the connection" : reasonOf(error, this.#library), connection.lastWords);
  }

  #unavailable(reason: string, lastWords?: string): ToolFailure {
    this.#complain(reason, lastWords);
    if (this.#shown !== undefined && this.#shown !== NOTHING) this.#announce(NOTHING);
    return new ToolFailure(`MCP server "${this.#name}" cannot be used: ${reason}`, "unavailable");
  }

  /** Once for each reason, not for each turn that meets it, and not for an end that we have made. */
  #complain(reason: string, lastWords: string | undefined): void {
    if (this.#closing.signal.aborted || !this.#deps.custody.isOpen || reason === this.#problem) return;
    this.#problem = reason;
    this.#deps.log.warn({ server: this.#name, reason, ...(lastWords === undefined ? {} : { stderr: lastWords }) }, "MCP server cannot be used");
  }

  #changed(): void {
    this.#stale = true;
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
  }

  async #refresh(): Promise<void> {
    while (this.#stale) {
      try {
        await delay(DEBOUNCE_MS, undefined, { signal: this.#closing.signal });
      } catch {
        // Closed in the meantime.
        return;
      }
      // While it starts nothing is known to refresh; the start looks at this when it is done.
      if (this.#connection === undefined) return;
      this.#stale = false;
      await this.#listAgain(this.#connection);
    }
  }

  async #listAgain(connection: Connection): Promise<void> {
    const { startTimeoutMs } = this.#config;
    const listing = deadline(startTimeoutMs, () => new McpTransportError(`it did not list its tools within ${startTimeoutMs} ms`), this.#closing.signal);
    try {
      const listed = await connection.listTools(listing.signal, startTimeoutMs);
      if (this.#connection === connection) this.#offer(listed);
    } catch (error) {
      // The tools that it had may still be there. A server that is gone is noticed on its own.
      if (this.#connection === connection)
        this.#deps.log.warn({ server: this.#name, reason: reasonOf(error, this.#library) }, "MCP server did not list its tools again");
    } finally {
      listing.clear();
    }
  }

  #offer(listed: readonly ListedTool[]): void {
    const text = JSON.stringify(listed);
    if (text !== this.#listed) {
      this.#listed = text;
      this.#tools = this.#toolsOf(listed);
    }
    if (this.#shown !== undefined && this.#shown !== text) this.#announce(text);
  }

  #announce(list: string): void {
    this.#shown = list;
    if (!this.#closing.signal.aborted) this.#deps.onChange();
  }

  #toolsOf(listed: readonly ListedTool[]): Tool[] {
    const names = offeredNames(
      this.#name,
      listed.map((tool) => tool.name),
      this.#deps.others,
    );
    const { timeoutMs } = this.#config;
    return listed.flatMap((tool) => {
      const name = names.get(tool.name);
      if (name === undefined) return [];
      const run: Tool["run"] = (args, context) =>
        callOn(this, { server: this.#name, tool: tool.name, timeoutMs: timeoutMs ?? this.#deps.timeoutMs }, args, context);
      const { description, title, inputSchema: parameters } = tool;
      return [{ name, description: description ?? title ?? "", parameters, mode: hintedMode(tool), ...(timeoutMs === undefined ? {} : { timeoutMs }), run }];
    });
  }
}

/** A server without tools lists the same as one that cannot be asked. */
const NOTHING = "[]";

/** What the server says about its tool. It may not tell the truth: `policy.tools` goes before it. */
function hintedMode({ annotations }: ListedTool): ToolMode {
  if (annotations?.readOnlyHint === true) return "read";
  return annotations?.destructiveHint === true ? "destructive" : "other";
}
