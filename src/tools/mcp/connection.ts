import type { CallToolResult, Client, Transport } from "@modelcontextprotocol/client";
import type { McpServer } from "../../contract/config.ts";
import type { Custody } from "../../custody/custody.ts";
import { VERSION } from "../../version.ts";
import { until } from "../waiting.ts";
import { type ListedTool, listTools } from "./listing.ts";
import { programOf } from "./program.ts";
import { type Library, remoteTransport } from "./remote.ts";
import { McpTransportError, StdioTransport } from "./stdio.ts";
import type { Watch } from "./watch.ts";

/** How long a server that let a call pass its deadline may take to show that it is still there. */
const PING_MS = 5000;

export interface ConnectionDeps {
  library: Library;
  custody: Custody;
  env: NodeJS.ProcessEnv;
  watch: Watch;
  toolsChanged(): void;
  /** The connection has ended, by `close` or by itself; called once. `error` is what went wrong, where that is known. */
  lost(error: unknown): void;
}

/** A server that has been started and has introduced itself. */
export class Connection {
  readonly #client: Client;
  readonly #transport: Transport;
  readonly #deps: ConnectionDeps;
  #calls = 0;
  /** Why it was closed, where something went wrong. */
  #cause: unknown;
  #closing: Promise<void> | undefined;

  private constructor(client: Client, transport: Transport, deps: ConnectionDeps) {
    this.#client = client;
    this.#transport = transport;
    this.#deps = deps;
    const onerror = (error: Error) => {
      deps.watch.ignored(error.message);
      // The stream of an sse server comes back by itself, but as that of a session that was never begun.
      if (deps.library.SseError.isInstance(error)) this.#fail(error);
    };
    Object.assign(client, { onerror });
    client.setNotificationHandler("notifications/tools/list_changed", () => deps.toolsChanged());
  }

  /** Starts the server or connects to it. Rejects when that fails or `signal` is aborted, and leaves nothing running then. */
  static async open(name: string, server: McpServer, deps: ConnectionDeps, signal: AbortSignal, timeoutMs: number): Promise<Connection> {
    const transport = await transportTo(name, server, deps, signal);
    // Nothing is offered to the server: it may not ask the host's model, its user or for its folders.
    const client = new deps.library.Client({ name: "steerable-sidecar", version: VERSION }, { capabilities: {}, inputRequired: { autoFulfill: false } });
    const connection = new Connection(client, transport, deps);
    try {
      await until(client.connect(transport, { signal, timeout: timeoutMs, maxTotalTimeout: timeoutMs }), signal);
    } catch (error) {
      const reason = connection.#reasonFor(error);
      await connection.close();
      throw reason;
    }
    Object.assign(client, { onclose: () => deps.lost(connection.#reasonFor(undefined)) });
    // It may have ended between its introduction and now.
    if (!connection.open) {
      await connection.close();
      throw connection.#reasonFor(new McpTransportError("it ended as soon as it was started"));
    }
    return connection;
  }

  /** False when it has ended. */
  get open(): boolean {
    return this.#closing === undefined && this.#client.transport !== undefined;
  }

  /** Whether the server is reached over HTTP. */
  get remote(): boolean {
    return !(this.#transport instanceof StdioTransport);
  }

  /** What the server printed last to stderr. */
  get lastWords(): string | undefined {
    return this.#deps.watch.lastWords;
  }

  async listTools(signal: AbortSignal, timeoutMs: number): Promise<ListedTool[]> {
    try {
      return await listTools(this.#client, signal, timeoutMs, (what) => this.#deps.watch.ignored(what));
    } catch (error) {
      throw this.#reasonFor(error);
    }
  }

  /** Rejects with the error of the library, with that of the transport or with the reason of `signal`. The server is told of the latter. */
  async callTool(name: string, args: Record<string, unknown>, signal: AbortSignal, timeoutMs: number): Promise<CallToolResult> {
    this.#calls++;
    try {
      // The whole call ends with its deadline, however much progress is reported.
      const options = { signal, timeout: timeoutMs, maxTotalTimeout: timeoutMs, resetTimeoutOnProgress: false };
      return await until(this.#client.callTool({ name, arguments: args }, options), signal);
    } catch (error) {
      throw signal.aborted ? error : this.#reasonFor(error);
    } finally {
      this.#calls--;
    }
  }

  /** A call has passed its deadline: ends a program that answers nothing at all, so that the next call finds a new one. Never rejects. */
  async check(): Promise<void> {
    // One that is busy with another call may answer nothing until it is done.
    if (!(this.#transport instanceof StdioTransport) || (this.#calls > 0 && this.#transport.unread === 0)) return;
    try {
      await this.#client.ping({ timeout: PING_MS, maxTotalTimeout: PING_MS });
    } catch (error) {
      const answered = this.#deps.library.ProtocolError.isInstance(error);
      if (!answered) this.#fail(new McpTransportError(`it answered nothing for ${PING_MS} ms after a call had passed its deadline`));
    }
  }

  /** Resolves when nothing of it runs any more. Idempotent, never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The transport itself: the client lets go of it as soon as it is closed, not when the program is gone.
    await this.#transport.close().catch(() => undefined);
    await this.#client.close().catch(() => undefined);
  }

  #fail(error: unknown): void {
    this.#cause ??= error;
    void this.close();
  }

  /** What a server died of says more than that it did not answer. */
  #reasonFor(error: unknown): unknown {
    const death = this.#transport instanceof StdioTransport ? this.#transport.death : undefined;
    return this.#cause ?? death ?? error;
  }
}

async function transportTo(name: string, server: McpServer, deps: ConnectionDeps, signal: AbortSignal): Promise<Transport> {
  const { command, url } = server;
  if (command !== undefined) {
    const starting = deps.custody.start(programOf(name, { ...server, command }, deps.env), signal);
    try {
      return new StdioTransport(await until(starting, signal), deps.watch);
    } catch (error) {
      // Where it was the signal that was faster, the program may come yet.
      void starting.then((ward) => ward.end(0)).catch(() => undefined);
      throw error;
    }
  }
  if (url === undefined) throw new McpTransportError("it has neither a command nor a url");
  return remoteTransport(deps.library, { ...server, url });
}
