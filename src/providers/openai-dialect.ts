import type { ToolCall, Usage } from "../contract/model.ts";
import type { Failure } from "../errors.ts";
import type { Dialect } from "./dialect.ts";
import { reportedFailure } from "./faults.ts";
import { countOf, isJsonObject, type JsonObject, listOf, parseJson, textOf } from "./json.ts";
import type { ModelEvent } from "./provider.ts";
import type { SseEvent } from "./sse.ts";
import { PairKeeper } from "./surrogates.ts";
import { NO_CALLS, ToolCallAssembler } from "./tool-calls.ts";

/**
 * Chat completion chunks, and what the servers that speak them make of it.
 *
 * Tool calls, usage and the finish wait for `[DONE]` or the end of the body: usage comes after the
 * finish reason, and fragments of a call may come in any order.
 */
export class OpenAiDialect implements Dialect {
  isOver = false;
  readonly #text = new PairKeeper();
  readonly #reasoning = new PairKeeper();
  readonly #calls = new ToolCallAssembler();
  #usage: Usage | undefined;
  #reason: string | undefined;

  get isWhole(): boolean {
    return this.#reason !== undefined;
  }

  event({ name, data }: SseEvent, out: ModelEvent[]): boolean {
    if (this.isOver || name === "ping" || data.trim() === "") return false;
    if (data.startsWith(DONE)) {
      this.#finish(out);
      return true;
    }
    // The connection was cut inside the last word of an answer that is complete.
    if (this.isWhole && DONE.startsWith(data.trim())) return false;
    const chunk = parseJson(data);
    if (name === "error") {
      this.#fail(reportedFailure(chunk ?? data), out);
    } else if (!isJsonObject(chunk)) {
      this.#fail({ kind: "malformed_response", message: "The model server sent an event that is not a JSON object" }, out);
    } else {
      if (chunk["type"] === "ping") return false;
      this.#chunk(chunk, out);
    }
    return true;
  }

  document(value: unknown, out: ModelEvent[]): void {
    // Some gateways wrap an error in an array.
    const completion = Array.isArray(value) ? value[0] : value;
    if (!isJsonObject(completion) || !(isError(completion) || Array.isArray(completion["choices"]))) {
      return this.#fail({ kind: "malformed_response", message: "The model server sent JSON that is not a completion: check the base URL" }, out);
    }
    this.#chunk(completion, out);
    if (!this.isOver) this.#finish(out);
  }

  end(out: ModelEvent[]): void {
    if (this.isOver) return;
    if (this.isWhole) this.#finish(out);
    else this.#fail({ kind: "truncated", message: "The model server closed the connection before the answer was complete" }, out);
  }

  #chunk(chunk: JsonObject, out: ModelEvent[]): void {
    if (isError(chunk)) return this.#fail(reportedFailure(chunk), out);
    for (const choice of listOf(chunk["choices"])) {
      // With `n` above 1 only the first answer is told.
      if (!isJsonObject(choice) || (countOf(choice["index"]) ?? 0) !== 0) continue;
      const delta = isJsonObject(choice["delta"]) ? choice["delta"] : choice["message"];
      if (isJsonObject(delta)) this.#delta(delta, out);
      this.#reason = textOf(choice["finish_reason"]) ?? this.#reason;
      this.#usage = usageOf(choice["usage"]) ?? this.#usage;
    }
    this.#usage = usageOf(chunk["usage"]) ?? this.#usage;
    if (this.#calls.isOverfull) this.#fail({ kind: "malformed_response", message: "The model server sent tool calls that do not end" }, out);
  }

  #delta(delta: JsonObject, out: ModelEvent[]): void {
    // Servers that send both names send the same text twice.
    say("reasoning", this.#reasoning, textOf(delta["reasoning_content"]) ?? textOf(delta["reasoning"]), out);
    const { content } = delta;
    if (typeof content === "string") say("text", this.#text, content, out);
    else for (const part of listOf(content)) this.#part(part, out);
    say("text", this.#text, textOf(delta["refusal"]), out);
    for (const call of listOf(delta["tool_calls"])) if (isJsonObject(call)) this.#fragment(call);
  }

  /** Content in parts (Mistral): text, or thinking that holds text parts of its own. */
  #part(part: unknown, out: ModelEvent[]): void {
    if (!isJsonObject(part)) return;
    say("text", this.#text, textOf(part["text"]), out);
    for (const thought of listOf(part["thinking"])) if (isJsonObject(thought)) say("reasoning", this.#reasoning, textOf(thought["text"]), out);
  }

  #fragment(call: JsonObject): void {
    const named = isJsonObject(call["function"]) ? call["function"] : {};
    const given = named["arguments"];
    this.#calls.add({
      index: countOf(call["index"]),
      id: textOf(call["id"]),
      name: textOf(named["name"]),
      argumentsText: isJsonObject(given) ? JSON.stringify(given) : textOf(given),
    });
  }

  #finish(out: ModelEvent[]): void {
    this.isOver = true;
    flush("reasoning", this.#reasoning, out);
    flush("text", this.#text, out);
    const calls: ToolCall[] = this.#calls.finish();
    if (calls.length === 0 && callReasons.has(this.#reason ?? "")) return this.#fail(NO_CALLS, out);
    for (const call of calls) out.push({ type: "toolCall", call });
    if (this.#usage !== undefined) out.push({ type: "usage", usage: this.#usage });
    out.push({ type: "finish", reason: this.#reason ?? (calls.length > 0 ? "tool_calls" : "stop") });
  }

  #fail(failure: Failure, out: ModelEvent[]): void {
    this.isOver = true;
    out.push({ type: "failure", failure });
  }
}

/** Ends an OpenAI stream. */
const DONE = "[DONE]";
/** Finish reasons that say that the model waits for tools. */
const callReasons = new Set(["tool_calls", "function_call"]);

function say(type: "text" | "reasoning", keeper: PairKeeper, delta: string | undefined, out: ModelEvent[]): void {
  if (delta === undefined) return;
  const text = keeper.push(delta);
  if (text !== "") out.push({ type, text });
}

function flush(type: "text" | "reasoning", keeper: PairKeeper, out: ModelEvent[]): void {
  const text = keeper.flush();
  if (text !== "") out.push({ type, text });
}

/** `{"error": …}`, or vLLM's `{"object": "error", "message": …}`. */
function isError(chunk: JsonObject): boolean {
  return (chunk["error"] !== undefined && chunk["error"] !== null) || chunk["object"] === "error";
}

function usageOf(value: unknown): Usage | undefined {
  if (!isJsonObject(value)) return undefined;
  const prompt = countOf(value["prompt_tokens"]);
  const completion = countOf(value["completion_tokens"]);
  if (prompt === undefined && completion === undefined) return undefined;
  const promptTokens = prompt ?? 0;
  const completionTokens = completion ?? 0;
  return { promptTokens, completionTokens, totalTokens: countOf(value["total_tokens"]) ?? promptTokens + completionTokens };
}
