/**
 * What holds when nobody says otherwise. Free of schemas, because the process is ready before they
 * are loaded; `contract/config.ts` builds on these values.
 */
import type { LogLevel } from "../log.ts";

export { LOG_LEVELS, type LogLevel } from "../log.ts";

/** The protocol spoken on the wire; exactly this string, strict readers exist. */
export const PROTOCOL_VERSION = "0.1.0";

export const defaults = {
  logLevel: "INFO" as LogLevel,
  gracePeriodSeconds: 5,
  limits: {
    /** Longest line accepted, in bytes without its newline. */
    frameBytes: 16 * 1024 * 1024,
    /** Deepest nesting accepted. */
    depth: 256,
    /** Requests waiting for their reply before more are turned away. */
    inFlight: 10_000,
    /** Streams open at a time before more are turned away. */
    streams: 10_000,
    /** Bytes queued for a host that does not read before stdin is left unread. */
    outboundBytes: 32 * 1024 * 1024,
  },
  provider: {
    /** Milliseconds without data from a model server before the turn fails. */
    idleTimeoutMs: 120_000,
    connectTimeoutMs: 10_000,
    /** Longest answer of one model call, from its first token to its end. */
    answerTimeoutMs: 3_600_000,
    retry: { attempts: 3, baseMs: 500, maxMs: 8_000 },
  },
  baseUrl: { openai: "https://api.openai.com/v1", anthropic: "https://api.anthropic.com" },
  tools: {
    /** Deadline of one call. */
    timeoutMs: 60_000,
    /** Calls of one step that run side by side. */
    parallel: 16,
  },
  policy: { modes: { read: "allow", safe_write: "allow", destructive: "ask", other: "ask" }, approvalTimeoutMs: 60_000 },
  budgets: { turn: { maxSteps: 50 } },
  compaction: { auto: true, share: 0.8, keepTurns: 2 },
  api: {
    listen_addr: "127.0.0.1:8900",
    max_body_bytes: 1_048_576,
    max_concurrent_requests: 64,
    rate_limit_per_minute: 120,
    max_sessions: 64,
    request_timeout_seconds: 300,
    head_timeout_seconds: 10,
    receive_timeout_seconds: 60,
    keep_alive_seconds: 30,
    shutdown_grace_seconds: 30,
  },
  trace: { events: false, keep: 10_000 },
} as const;
