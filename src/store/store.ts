import type {
  AgentSession,
  ChatMessage,
  HarnessTrace,
  ProviderData,
  Spending,
  StoredMessage,
  ToolCall,
  ToolResult,
  TraceEvent,
  TraceSpan,
  TurnStatus,
  Usage,
} from "../contract/model.ts";
import type { Failure } from "../errors.ts";

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
  /** What people call it. */
  alias?: string | undefined;
  /** Which model its turns ask where they do not say: see `AgentSession`. */
  provider?: string | undefined;
  model?: string | undefined;
  baseUrl?: string | undefined;
}

export interface SessionFilter {
  /** Only what belongs to this subject. */
  owner?: string | undefined;
  scenario?: string | undefined;
  userId?: string | undefined;
  chatId?: string | undefined;
  activeOnly?: boolean | undefined;
  limit: number;
  /** The session that ended the page before. */
  after?: string | undefined;
}

/** What makes a repetition of a call recognizable. */
export interface IdempotencyMark {
  key: string;
  /** Of the params: the same key with other params is a mistake. */
  digest: string;
}

/** A turn as it is acknowledged: its id is the streamId. */
export interface TurnStart {
  turnId: string;
  /** The subject that the trace belongs to; the host itself when left out. */
  owner?: string | undefined;
  traceId: string;
  /** Absent for turns outside a session: only their trace is kept. */
  sessionId: string | undefined;
  messages: readonly ChatMessage[];
  trace: HarnessTrace;
  /** With it the turn and what it comes to are kept for a day, also outside a session. */
  idempotency?: (IdempotencyMark & { streamId: string }) | undefined;
}

/** What a message is made of, apart from where and when it was said. */
export type MessageBody = ChatMessage & Pick<StoredMessage, "reasoning" | "outcomeUnknown" | "result">;

/** What a running turn has come to between two model calls. */
export interface TurnStep {
  turnId: string;
  /** Added behind those of the turn, in this order; they take the place of the text that `appendAnswer` has saved. */
  messages: readonly MessageBody[];
  /** Calls with side effects that are about to run. */
  begun?: readonly string[] | undefined;
  /** Calls, by id, that have come to an end: their results are among `messages`. */
  ended?: readonly string[] | undefined;
  /** False where a power cut may take the step; a crash of the process may never. */
  durable: boolean;
}

/** How a turn ended, as its terminal told. */
export interface TurnEnding {
  status: Exclude<TurnStatus, "running">;
  finishReason?: string | undefined;
  usage?: Usage | undefined;
  costUsd?: number | undefined;
  failure?: Failure | undefined;
  /** How often the model was called. */
  steps: number;
  /** Whether older messages were summarized on the way. */
  compacted?: boolean | undefined;
}

/** A turn that was begun with an idempotency key. */
export interface KeptTurn {
  turnId: string;
  streamId: string;
  sessionId: string | undefined;
  traceId: string;
  digest: string;
  status: TurnStatus;
  /** Undefined while it is running, and when its process died in it. */
  ending: TurnEnding | undefined;
  /** What it came to: the messages behind those that it was begun with. */
  messages: StoredMessage[];
}

/** What is sent along with a turn. */
export interface History {
  /** Stands for everything before `messages`; undefined when nothing was summarized. */
  summary: string | undefined;
  /** Messages that the summary stands for. */
  summarized: number;
  /** The system message that held where the summary ends; undefined when there was none. */
  system: ChatMessage | undefined;
  messages: { messageId: string; turnId: string; message: ChatMessage }[];
}

/** What stands for the older part of a session. */
export interface NewSummary {
  text: string;
  /** The `messageId` of the last message that it stands for. */
  through: string;
  summarized: number;
  system: ChatMessage | undefined;
}

/** A session that begins as a copy. */
export interface Fork {
  from: string;
  /** The last turn that is copied; undefined for all that have ended. */
  throughTurnId: string | undefined;
  fields: SessionFields;
  /** Gives out an id that no turn has. May be called more often than there are turns. */
  newTurnId(): string;
}

/** What somebody has allowed for good. */
export interface StoredGrant {
  tool: string;
  /** Exactly these arguments, as JSON; undefined for every call of the tool. */
  call: string | undefined;
  createdAt: string;
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
  /** What was said since the last step; undefined when nothing was. */
  answer: Answer | undefined;
  ending: TurnEnding;
  trace: TraceRecord;
}

/** Whose budget is used: that of everything, or of one session. */
export type SpendingScope = { kind: "process" } | { kind: "session"; sessionId: string };

export interface TraceRecord {
  /** The subject that it belongs to; the host itself when left out. */
  owner?: string | undefined;
  trace: HarnessTrace;
  spans: readonly TraceSpan[];
  events: readonly TraceEvent[];
}

export interface Page<T> {
  items: T[];
  nextCursor: string | undefined;
}

export interface TraceFilter {
  /** Only what belongs to this subject. */
  owner?: string | undefined;
  sessionId?: string | undefined;
  status?: HarnessTrace["status"] | undefined;
  limit: number;
  cursor?: string | undefined;
}

/**
 * The session store. Promises resolve once the change is durable: a host is told only what a
 * `kill -9` or a power cut cannot take back (`appendAnswer`, `saveStep` and `spend` are the exceptions, see there).
 * What is passed is copied at the time of the call.
 * A read sees everything that was asked for before it, and only what is durable.
 * Everything rejects with a `WireError`: `session_not_found`, `session_closed`, `trace_not_found`,
 * `invalid_params` (a cursor that no page gave, a turn that exists) or `storage`, whose `data.reason`
 * is one of `disk_full`, `io`, `readonly`, `busy`, `corrupt`, `newer`, `foreign`, `unavailable`, `gone`, `closed`.
 */
export interface Store {
  /** Creates the session, or replaces the fields of the one that exists (all but `createdAt` and its owner, which stay) and opens it again. `owner`: the host itself when left out. */
  upsertSession(fields: SessionFields, owner?: string): Promise<AgentSession>;
  /** The subject that a session, or a trace, belongs to. Undefined when there is none. */
  ownerOf(what: { sessionId: string } | { traceId: string }): Promise<string | undefined>;
  countSessions(filter: Pick<SessionFilter, "owner" | "scenario" | "activeOnly">): Promise<number>;
  /**
   * Deletes the messages and turns of a session, its summaries with them; the session and what was spent stay. Rejects with
   * `session_not_found`. Turns that are running go too: what they still bring is not kept.
   */
  emptySession(sessionId: string): Promise<AgentSession>;
  getSession(sessionId: string): Promise<AgentSession>;
  setActive(sessionId: string, isActive: boolean): Promise<AgentSession>;
  /** Newest use first. Rejects with `session_not_found` when `after` names none. */
  listSessions(filter: SessionFilter): Promise<AgentSession[]>;
  /** Deletes its messages and turns with it; traces stay until they are pruned. */
  deleteSession(sessionId: string): Promise<void>;

  /** Messages of a session in the order of its turns, and within a turn as they came. */
  listMessages(sessionId: string, page: { limit: number; cursor?: string | undefined }): Promise<Page<StoredMessage>>;
  /**
   * What the turns before `turnId` (when it is undefined, those before the first one that is running) send along: the newest summary, and the messages behind it, without
   * reasoning, with `providerData`, unanswered tool calls included.
   */
  history(sessionId: string, turnId: string | undefined): Promise<History>;
  /**
   * From now on `summary` stands for everything up to the message `through` and the summary before it. `summarized`: for how many messages.
   * Of several, the one that reaches furthest counts; of those that reach equally far, the newest. Rejects with `session_not_found`, or with
   * `invalid_params` when the session has no message `through`.
   */
  saveSummary(sessionId: string, summary: NewSummary): Promise<void>;
  /**
   * A new session with copies of the turns of `from` that have ended, up to `throughTurnId` (inclusive), and of its summaries as far as they
   * stand for those. Rejects with `session_not_found`, `turn_not_found`, or `invalid_params` when the new session exists.
   */
  forkSession(fork: Fork, owner?: string): Promise<AgentSession>;

  /**
   * Stores the messages of a turn, marks it running, and touches the session. Rejects with
   * `invalid_params` when the turn exists (or a turn with that idempotency key), `session_not_found` or `session_closed`.
   */
  beginTurn(start: TurnStart): Promise<void>;
  /**
   * Stores a step of a running turn. A crash, or the end of the turn, leaves calls that had begun and not ended with a tool message whose
   * `outcomeUnknown` is true. An id that is in `ended` and in `begun` was used twice: the earlier call has ended, the later begins.
   * Of a turn outside a session nothing is kept, unless it has an idempotency key. Nothing happens when the turn has ended, or was deleted.
   */
  saveStep(step: TurnStep): Promise<void>;
  /** The turn that was begun with the key; undefined when none was, or it was a day ago. Turns of dead processes are marked interrupted first. */
  findTurn(idempotencyKey: string): Promise<KeptTurn | undefined>;
  /**
   * Adds to the text of a running turn, so that a crash keeps it. Survives `kill -9`; a power cut may
   * take the last seconds of a turn that has not ended.
   */
  appendAnswer(turnId: string, part: { text: string; reasoning: string }): Promise<void>;
  /**
   * Stores the answer (partial unless completed) and the trace, and touches the session. Of a turn whose
   * session was deleted meanwhile, only the trace is stored. Nothing happens to a turn that was ended before. One that
   * was marked interrupted for its process, which lives after all, has what was put behind its last step replaced.
   */
  endTurn(end: TurnEnd): Promise<void>;

  /**
   * Journals a call of a tool that the host makes itself, with a key. "begun": it is new and may run. Otherwise what is known of the earlier
   * one: `result` is undefined while it runs (in this process or another), and has `outcomeUnknown` when its process died in it.
   */
  beginCall(mark: IdempotencyMark): Promise<"begun" | { digest: string; result: ToolResult | undefined }>;
  /** Durable. Undefined: it was not run, and the key is free again. Nothing happens when it has ended before, or was begun a day ago. */
  endCall(key: string, result: ToolResult | undefined): Promise<void>;

  /**
   * Adds to what the scopes have used (amounts may be negative, a sum never is). Survives `kill -9`. The scope of a session goes with it:
   * what is used of one that is gone is not kept, and asking for it rejects with `session_not_found`.
   */
  spend(amounts: readonly { scope: SpendingScope; amount: Spending }[]): Promise<void>;
  spent(scope: SpendingScope): Promise<Spending>;
  resetSpending(scope: SpendingScope): Promise<void>;

  /** Saving one that is there changes nothing. */
  saveGrant(grant: StoredGrant): Promise<void>;
  /** Oldest first. */
  listGrants(): Promise<StoredGrant[]>;
  /** All of them when no tool is named. */
  deleteGrants(tool: string | undefined): Promise<void>;

  saveTrace(record: TraceRecord): Promise<void>;
  getTrace(traceId: string): Promise<TraceRecord>;
  listTraces(filter: TraceFilter): Promise<Page<HarnessTrace>>;

  /** Resolves when a change has just been made durable; rejects with the reason why none can be. */
  probe(): Promise<void>;
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
