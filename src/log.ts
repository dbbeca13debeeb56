import type { Writable } from "node:stream";
import { redact, redactText } from "./redact.ts";

export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields of a record. Errors among them are logged as their message, with their stack at DEBUG. */
export type LogFields = Record<string, unknown>;

/**
 * JSON lines `{level, time, …fields, msg}`, redacted. Logging never throws and never waits.
 */
export interface Log {
  readonly level: LogLevel;
  setLevel(level: LogLevel): void;
  debug(fields: LogFields, msg: string): void;
  info(fields: LogFields, msg: string): void;
  warn(fields: LogFields, msg: string): void;
  error(fields: LogFields, msg: string): void;
  /** From now on each record begins with what `read` gives, when it gives something: whose request it belongs to, for example. */
  setContext(read: () => LogFields | undefined): void;
  /** Resolves when every record so far was handed to `write`; whether somebody reads them is not waited for. */
  flush(): Promise<void>;
}

export interface LogOptions {
  level: LogLevel;
  /** Takes one line, newline included. Must not throw. */
  write(line: string): void;
  /** Milliseconds since 1970. */
  now?(): number;
}

/** A log that loads pino with the first record that passes the level: a quiet start does not pay for it. */
export function createLog({ level: firstLevel, write, now = Date.now }: LogOptions): Log {
  let level = firstLevel;
  let print: ((record: LogRecord) => void) | undefined;
  let loading: Promise<void> | undefined;
  let waiting: LogRecord[] = [];
  let lost = 0;
  let context: () => LogFields | undefined = () => undefined;

  const load = async (): Promise<void> => {
    const printer = await loadPrinter(write);
    for (const record of waiting) printer(record);
    if (lost > 0)
      printer({ level: "WARNING", time: isoTime(now), fields: { dropped: lost }, msg: "log records dropped: too many came before the log was loaded" });
    waiting = [];
    print = printer;
  };

  const take = (at: LogLevel, fields: LogFields, msg: string): void => {
    if (LOG_LEVELS.indexOf(at) < LOG_LEVELS.indexOf(level)) return;
    // Copied now: the caller may go on to change what it passed.
    const record = { level: at, time: isoTime(now), fields: presentable({ ...context(), ...fields }, level === "DEBUG"), msg: redactText(msg) };
    if (print !== undefined) {
      print(record);
      return;
    }
    if (waiting.length < MOST_WAITING) waiting.push(record);
    else lost++;
    loading ??= load().catch(() => {
      // Only a broken installation comes here. The sidecar serves on without a log, and says so once.
      write(`${JSON.stringify({ level: "ERROR", time: isoTime(now), msg: "no log: pino could not be loaded" })}\n`);
      waiting = [];
      print = () => {};
    });
  };

  return {
    get level() {
      return level;
    },
    setLevel(next) {
      level = next;
    },
    setContext(read) {
      context = read;
    },
    debug: (fields, msg) => take("DEBUG", fields, msg),
    info: (fields, msg) => take("INFO", fields, msg),
    warn: (fields, msg) => take("WARNING", fields, msg),
    error: (fields, msg) => take("ERROR", fields, msg),
    async flush() {
      await loading;
    },
  };
}

/**
 * Lines to stderr that neither block nor pile up. While more than 256 KiB wait for a reader, lines are
 * dropped and counted; once there is room again one record says how many. A reader that went away is
 * nobody's problem: lines then go nowhere.
 */
export function stderrSink(stream: Writable, now: () => number = Date.now): { write(line: string): void } {
  let gone = false;
  let dropped = 0;

  stream.on("error", (error: NodeJS.ErrnoException) => {
    gone ||= error.code === "EPIPE" || stream.destroyed;
  });
  stream.on("close", () => {
    gone = true;
  });

  const send = (line: string): void => {
    try {
      stream.write(line, afterWrite);
    } catch {
      gone = true;
    }
  };
  const report = (): void => {
    const count = dropped;
    dropped = 0;
    send(`${JSON.stringify({ level: "WARNING", time: isoTime(now), dropped: count, msg: "log records dropped: stderr was not read" })}\n`);
  };
  const afterWrite = (): void => {
    if (dropped > 0 && !gone && stream.writableLength === 0) report();
  };

  return {
    write(line) {
      if (gone || stream.destroyed) return;
      // Half full before lines are taken again, so that a slow reader gets one report, not one for each line.
      if (stream.writableLength > (dropped > 0 ? MOST_BUFFERED / 2 : MOST_BUFFERED)) {
        dropped++;
        return;
      }
      if (dropped > 0) report();
      send(line);
    },
  };
}

/** Bytes that may wait in stderr before lines are dropped. */
const MOST_BUFFERED = 256 * 1024;
/** Records that may wait for pino to load. */
const MOST_WAITING = 1024;
/** Longer records are cut field by field. */
const LONGEST_LINE = 64 * 1024;
const LONGEST_CUT_FIELD = 1000;
const MOST_CUT_FIELDS = 32;

interface LogRecord {
  level: LogLevel;
  time: string;
  fields: LogFields;
  msg: string;
}

const pinoNames = { DEBUG: "debug", INFO: "info", WARNING: "warn", ERROR: "error" } as const;
/** Keys that pino writes itself; a field of the same name would make the line ambiguous. */
const reserved = new Set(["level", "time", "msg"]);

async function loadPrinter(write: (line: string) => void): Promise<(record: LogRecord) => void> {
  const { pino } = await import("pino");
  const ours: Record<string, LogLevel> = { debug: "DEBUG", info: "INFO", warn: "WARNING", error: "ERROR" };
  let time = "";
  let line = "";
  // A stream of our own: with none, pino writes to a descriptor and hooks into the exit of the process.
  const logger = pino(
    {
      base: null,
      level: "debug",
      timestamp: () => `,"time":"${time}"`,
      formatters: { level: (label) => ({ level: ours[label] ?? label }) },
    },
    {
      write: (text: string) => {
        line = text;
      },
    },
  );
  const render = (record: LogRecord): string => {
    time = record.time;
    logger[pinoNames[record.level]](record.fields, record.msg);
    return line;
  };

  return (record) => {
    const whole = render(record);
    const fitting = whole.length <= LONGEST_LINE ? whole : render(cut(record));
    const redacted = redactText(fitting);
    // A secret that reaches over quotes takes the form of the line with it; then only the fact is told.
    write(
      redacted === fitting || isJson(redacted) ? redacted : render({ ...record, fields: {}, msg: "log record withheld: a secret could not be masked in it" }),
    );
  };
}

/** Fields that are safe to write: redacted, errors as messages, no name that pino uses itself. */
function presentable(fields: LogFields, withStacks: boolean): LogFields {
  const out: LogFields = {};
  for (const [key, value] of Object.entries(fields)) {
    const name = reserved.has(key) ? `${key}_` : key;
    out[name] = value;
    if (withStacks && value instanceof Error && value.stack !== undefined) out[`${name}Stack`] = value.stack;
  }
  const redacted = redact(out);
  return typeof redacted === "object" && redacted !== null ? { ...redacted } : {};
}

/** The record with what is long in it shortened. It was redacted before: half a secret would not be recognised. */
function cut(record: LogRecord): LogRecord {
  const fields: LogFields = {};
  for (const [key, value] of Object.entries(record.fields).slice(0, MOST_CUT_FIELDS)) {
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    fields[key.slice(0, 128)] = text.length <= LONGEST_CUT_FIELD ? value : `${text.slice(0, LONGEST_CUT_FIELD)}… (${text.length} characters)`;
  }
  return { ...record, fields, msg: record.msg.slice(0, LONGEST_CUT_FIELD) };
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

function isoTime(now: () => number): string {
  return new Date(now()).toISOString();
}
