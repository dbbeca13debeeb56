import type { AgentSession, ChatMessage, HarnessTrace, ProviderData, StoredMessage, ToolCall, TraceEvent, TraceSpan, TurnStatus } from "../contract/model.ts";

/** What the caller may set of a session; an optional field that is left out is taken away. */
export interface SessionFields {
  sessionId: string;
  userId: string;
  chatId: string;
  currentStage: string;
  scenario: string;
  projectId?: string | undefined;
  nextStage?: string | undefined;
  stageData?: Record<string, unknown> | undefined;
}

export interface SessionFilter {
  userId?: string | undefined;
  chatId?: string | undefined;
  activeOnly?: boolean | undefined;
  limit: number;
  /** The session that ended the page before. */
  after?: string | undefined;
}

/** A turn as it is acknowledged: its id is the streamId. */
export interface TurnStart {
  turnId: string;
  traceId: string;
  /** Absent for turns outside a session: only their trace is kept. */
  sessionId: string | undefined;
  messages: readonly ChatMessage[];
  trace: HarnessTrace;
}

/** What the model said in a turn, as far as it came. */
export interface Answer {
  text: string;
  reasoning: string;
  toolCalls: readonly ToolCall[];
  /** Kept with the message and given back unchanged. */
  providerData?: ProviderData | undefined;
}

export interface TurnEnd {
  turnId: string;
  sessionId: string | undefined;
  status: Exclude<TurnStatus, "running">;
  /** Undefined when nothing was said. */
  answer: Answer | undefined;
  trace: TraceRecord;
}

export interface TraceRecord {
  trace: HarnessTrace;
  spans: readonly TraceSpan[];
  events: readonly TraceEvent[];
}

export interface Page<T> {
  items: T[];
  nextCursor: string | undefined;
}

export interface TraceFilter {
  sessionId?: string | undefined;
  status?: HarnessTrace["status"] | undefined;
  limit: number;
  cursor?: string | undefined;
}

/**
 * The session store. Promises resolve once the change is durable: a host is told only what a
 * `kill -9` or a power cut cannot take back (`appendAnswer` is the exception, see there).
 * A read sees everything that was asked for before it, and only what is durable.
 * Everything rejects with a `WireError`: `session_not_found`, `session_closed`, `trace_not_found`,
 * `invalid_params` (a cursor that no page gave, a turn that exists) or `storage`, whose `data.reason`
 * is one of `disk_full`, `io`, `readonly`, `busy`, `corrupt`, `newer`, `foreign`, `unavailable`, `closed`.
 */
export interface Store {
  /** Creates the session, or replaces the fields of the one that exists (all but `createdAt`) and opens it again. */
  upsertSession(fields: SessionFields): Promise<AgentSession>;
  getSession(sessionId: string): Promise<AgentSession>;
  setActive(sessionId: string, isActive: boolean): Promise<AgentSession>;
  /** Newest use first. Rejects with `session_not_found` when `after` names none. */
  listSessions(filter: SessionFilter): Promise<AgentSession[]>;
  /** Deletes its messages and turns with it; traces stay until they are pruned. */
  deleteSession(sessionId: string): Promise<void>;

  /** Messages of a session in the order of its turns, and within a turn as they came. */
  listMessages(sessionId: string, page: { limit: number; cursor?: string | undefined }): Promise<Page<StoredMessage>>;
  /**
   * All messages of the turns before `turnId`, to be sent along: without reasoning, with `providerData`, unanswered
   * tool calls included.
   */
  history(sessionId: string, turnId: string): Promise<ChatMessage[]>;

  /**
   * Stores the messages of a turn, marks it running, and touches the session. Rejects with
   * `invalid_params` when the turn exists, `session_not_found` or `session_closed`.
   */
  beginTurn(start: TurnStart): Promise<void>;
  /**
   * Adds to the text of a running turn, so that a crash keeps it. Survives `kill -9`; a power cut may
   * take the last seconds of a turn that has not ended.
   */
  appendAnswer(turnId: string, part: { text: string; reasoning: string }): Promise<void>;
  /**
   * Stores the answer (partial unless completed) and the trace, and touches the session. Of a turn whose
   * session was deleted meanwhile, only the trace is stored. Nothing happens to a turn that was ended before. One that
   * was marked interrupted for its process, which lives after all, has the partial answer replaced by this one.
   */
  endTurn(end: TurnEnd): Promise<void>;

  saveTrace(record: TraceRecord): Promise<void>;
  getTrace(traceId: string): Promise<TraceRecord>;
  listTraces(filter: TraceFilter): Promise<Page<HarnessTrace>>;

  /** For `system.ping`: how the last access went. */
  health(): { status: "ok" | "warn" | "error"; message?: string; latencyMs?: number };
  /** Finishes what is queued and closes. Idempotent. Never throws. */
  close(): Promise<void>;
  /**
   * The same without awaiting, for the last moments of a process: what is queued is run before it returns. Another
   * process that holds the file is waited for a quarter of a second; what is queued then rejects with `busy`.
   */
  closeSync(): void;
}

/** How `registry.ts` lists a store. `open` marks turns that a crash cut off as interrupted. */
export interface StoreOptions {
  /** `:memory:` or a file; its folder is made if it is missing. */
  path: string;
  /** Newest traces kept. */
  keepTraces: number;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds that a change waits for another process to let go of the file; 5,000 when left out. */
  busyDeadlineMs?: number | undefined;
  /** Largest size of the file in pages of 4 KiB; unlimited when left out. Beyond it the disk counts as full. */
  maxPages?: number | undefined;
}
