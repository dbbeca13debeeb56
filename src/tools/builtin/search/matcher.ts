import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { ToolFailure } from "../../tool.ts";
import { quoted } from "../failures.ts";
import { occurrences } from "../text/occurrences.ts";

/** A line that matches. */
export interface Hit {
  /** From 1. */
  line: number;
  /** Where the line begins in the text. */
  start: number;
  /** Where the match begins in the line, from 0. */
  column: number;
}

export interface Matcher {
  /** The first lines that match, `most` of them. `name` is that of the text, for failures. */
  hits(text: string, most: number, name: string): Promise<Hit[]>;
  close(): Promise<void>;
}

/** Finds text as it is. */
export function plainMatcher(wanted: string): Matcher {
  return { hits: async (text, most) => plainHits(text, wanted, most), close: async () => undefined };
}

/**
 * Finds lines by a regular expression, in a thread of its own: an expression may take longer than the
 * world will last, and only a thread can be ended in the middle of it. `signal` ends it, as do `limitMs`
 * on one text. Throws a `ToolFailure` when `source` is no regular expression.
 */
export function regexMatcher(source: string, caseSensitive: boolean, signal: AbortSignal, limitMs = 5_000): Matcher {
  const wanted = compiled(source, caseSensitive);
  let worker: Worker | undefined;
  const close = async (): Promise<void> => void (await worker?.terminate());
  return {
    close,
    async hits(text, most, name) {
      signal.throwIfAborted();
      worker ??= startWorker(wanted);
      return await answerOf(worker, { text, most, name }, signal, limitMs);
    },
  };
}

/** The expression for text as it is, where upper and lower case do not matter. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function plainHits(text: string, wanted: string, most: number): Hit[] {
  const hits: Hit[] = [];
  let [line, start, end] = [1, 0, lineEnd(text, 0)];
  let previous = 0;
  for (const at of occurrences(text, wanted)) {
    if (hits.length === most) break;
    for (; end < at; line += 1) [start, end] = [end + 1, lineEnd(text, end + 1)];
    if (line !== previous) hits.push({ line, start, column: at - start });
    previous = line;
  }
  return hits;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end === -1 ? text.length : end;
}

/** With the `u` flag where that works, so that a dot is a whole character; many expressions escape more than it allows. */
function compiled(source: string, caseSensitive: boolean): RegExp {
  const flags = caseSensitive ? "" : "i";
  try {
    return new RegExp(source, `${flags}u`);
  } catch {
    try {
      return new RegExp(source, flags);
    } catch (error) {
      const why = error instanceof Error ? error.message.replace(/^.*: /s, "") : "it cannot be understood";
      throw new ToolFailure(`The pattern is not a JavaScript regular expression: ${why}`, "invalid_params");
    }
  }
}

/** As text, because a file of its own would have to be shipped and found. */
const program = `
const { parentPort, workerData } = require("node:worker_threads");
parentPort.on("message", ({ text, most }) => {
  const hits = [];
  for (let start = 0, line = 1; start < text.length && hits.length < most; line += 1) {
    const next = text.indexOf("\\n", start);
    const end = next === -1 ? text.length : next;
    const column = text.slice(start, text[end - 1] === "\\r" && end > start ? end - 1 : end).search(workerData);
    if (column !== -1) hits.push({ line, start, column });
    start = end + 1;
  }
  parentPort.postMessage(hits);
});`;

function startWorker(wanted: RegExp): Worker {
  const worker = new Worker(program, {
    eval: true,
    workerData: wanted,
    env: {},
    execArgv: [],
    // Nothing that it might print reaches the frames on stdout.
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  // Whoever waits for an answer hears of it too; between two answers nobody does, and it must not end the process.
  worker.on("error", () => undefined);
  return worker;
}

interface Question {
  text: string;
  most: number;
  name: string;
}

/** What the worker answers; else it is ended, because it may be in the middle of an endless search. */
async function answerOf(worker: Worker, question: Question, signal: AbortSignal, limitMs: number): Promise<Hit[]> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  const late = setTimeout(abort, limitMs);
  signal.addEventListener("abort", abort);
  try {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage(question);
    const [hits] = (await once(worker, "message", { signal: stop.signal })) as [Hit[]];
    return hits;
  } catch {
    // Whatever it was, it was one of these three.
    await worker.terminate();
    signal.throwIfAborted();
    if (stop.signal.aborted) throw new ToolFailure(`The regular expression takes too long on ${quoted(question.name)}; make it simpler`, "timeout");
    throw new ToolFailure(`The regular expression takes too much memory on ${quoted(question.name)}; make it simpler`);
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", abort);
  }
}
