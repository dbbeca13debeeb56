import type { Failure } from "../errors.ts";
import { ThinkingCollector } from "./anthropic-thinking.ts";
import type { Dialect } from "./dialect.ts";
import { reportedFailure } from "./faults.ts";
import { countOf, isJsonObject, type JsonObject, parseJson, textOf } from "./json.ts";
import type { ModelEvent } from "./provider.ts";
import type { SseEvent } from "./sse.ts";
import { PairKeeper } from "./surrogates.ts";
import { NO_CALLS, ToolCallAssembler } from "./tool-calls.ts";

/** The events of the Messages API: message_start, content blocks, message_delta, message_stop. */
export class AnthropicDialect implements Dialect {
  isOver = false;
  /** Only `message_stop` makes an answer whole. */
  readonly isWhole = false;
  readonly #text = new PairKeeper();
  readonly #reasoning = new PairKeeper();
  readonly #thinking = new ThinkingCollector();
  readonly #calls = new ToolCallAssembler();
  /** Arguments that a block began with: they hold until fragments come. */
  readonly #inputs = new Map<number, JsonObject>();
  #usage: TokenCounts | undefined;
  #reason: string | undefined;
  #hasSpoken = false;

  event({ name, data }: SseEvent, out: ModelEvent[]): boolean {
    if (this.isOver || name === "ping" || data.trim() === "") return false;
    const event = parseJson(data);
    if (!isJsonObject(event)) {
      if (name === "error") this.#fail(reportedFailure(data), out);
      else this.#fail({ kind: "malformed_response", message: "The model server sent an event that is not a JSON object" }, out);
      return true;
    }
    const type = textOf(event["type"]) ?? name;
    if (type === "ping") return false;
    this.#read(type, event, out);
    return true;
  }

  document(value: unknown, out: ModelEvent[]): void {
    const message = Array.isArray(value) ? value[0] : value;
    if (isJsonObject(message) && isError(message)) return this.#fail(this.#reported(message), out);
    if (!isJsonObject(message) || !Array.isArray(message["content"])) {
      return this.#fail({ kind: "malformed_response", message: "The model server sent JSON that is not a message: check the base URL" }, out);
    }
    for (const [index, block] of message["content"].entries()) if (isJsonObject(block)) this.#startBlock(index, block, out);
    this.#reason = textOf(message["stop_reason"]);
    this.#count(message["usage"]);
    this.#finish(out);
  }

  end(out: ModelEvent[]): void {
    if (!this.isOver) this.#fail({ kind: "truncated", message: "The model server closed the connection before the answer was complete" }, out);
  }

  #read(type: string | undefined, event: JsonObject, out: ModelEvent[]): void {
    const index = countOf(event["index"]) ?? 0;
    switch (type) {
      case "message_start":
        if (isJsonObject(event["message"])) this.#count(event["message"]["usage"]);
        return;
      case "content_block_start":
        if (isJsonObject(event["content_block"])) this.#startBlock(index, event["content_block"], out);
        return;
      case "content_block_delta":
        if (isJsonObject(event["delta"])) this.#delta(index, event["delta"], out);
        return;
      case "message_delta":
        if (isJsonObject(event["delta"])) this.#reason = textOf(event["delta"]["stop_reason"]) ?? this.#reason;
        this.#count(event["usage"]);
        return;
      case "message_stop":
        return this.#finish(out);
      case "error":
        return this.#fail(this.#reported(event), out);
      default:
        // New kinds of events may be added at any time, says the reference; gateways also send bare errors.
        if (isError(event)) this.#fail(this.#reported(event), out);
    }
  }

  #startBlock(index: number, block: JsonObject, out: ModelEvent[]): void {
    this.#thinking.start(index, block);
    if (block["type"] === "text") this.#say("text", block["text"], out);
    else if (block["type"] === "thinking") this.#say("reasoning", block["thinking"], out);
    else if (block["type"] === "tool_use") {
      this.#hasSpoken = true;
      this.#calls.add({ index, id: textOf(block["id"]), name: textOf(block["name"]), argumentsText: undefined });
      this.#inputs.set(index, isJsonObject(block["input"]) ? block["input"] : {});
    }
  }

  #delta(index: number, delta: JsonObject, out: ModelEvent[]): void {
    this.#thinking.add(index, delta);
    if (delta["type"] === "text_delta") this.#say("text", delta["text"], out);
    else if (delta["type"] === "thinking_delta") this.#say("reasoning", delta["thinking"], out);
    // Tools that the server runs itself have arguments too; only blocks that were opened as calls count.
    else if (delta["type"] === "input_json_delta" && this.#inputs.has(index)) {
      const argumentsText = textOf(delta["partial_json"]);
      if (argumentsText === undefined) return;
      this.#inputs.set(index, {});
      this.#calls.add({ index, id: undefined, name: undefined, argumentsText });
      if (this.#calls.isOverfull) this.#fail({ kind: "malformed_response", message: "The model server sent tool calls that do not end" }, out);
    }
  }

  #say(type: "text" | "reasoning", delta: unknown, out: ModelEvent[]): void {
    if (typeof delta !== "string") return;
    const text = this.#keeper(type).push(delta);
    if (text === "") return;
    this.#hasSpoken = true;
    out.push({ type, text });
  }

  #keeper(type: "text" | "reasoning"): PairKeeper {
    return type === "text" ? this.#text : this.#reasoning;
  }

  /** Counts are running totals; those that are left out stay as they were. */
  #count(usage: unknown): void {
    if (!isJsonObject(usage)) return;
    const before = this.#usage ?? { input: 0, cacheCreation: 0, cacheRead: 0, output: 0 };
    this.#usage = {
      input: countOf(usage["input_tokens"]) ?? before.input,
      cacheCreation: countOf(usage["cache_creation_input_tokens"]) ?? before.cacheCreation,
      cacheRead: countOf(usage["cache_read_input_tokens"]) ?? before.cacheRead,
      output: countOf(usage["output_tokens"]) ?? before.output,
    };
  }

  #finish(out: ModelEvent[]): void {
    this.isOver = true;
    for (const type of ["reasoning", "text"] as const) {
      const text = this.#keeper(type).flush();
      if (text !== "") out.push({ type, text });
    }
    for (const [index, input] of this.#inputs) {
      if (Object.keys(input).length > 0) this.#calls.add({ index, id: undefined, name: undefined, argumentsText: JSON.stringify(input) });
    }
    const calls = this.#calls.finish();
    if (calls.length === 0 && this.#reason === "tool_use") return this.#fail(NO_CALLS, out);
    for (const call of calls) out.push({ type: "toolCall", call });
    const thinking = calls.length > 0 ? this.#thinking.finish() : [];
    if (thinking.length > 0) out.push({ type: "providerData", data: { anthropic: { thinking } } });
    if (this.#usage !== undefined) {
      const promptTokens = this.#usage.input + this.#usage.cacheCreation + this.#usage.cacheRead;
      const completionTokens = this.#usage.output;
      out.push({ type: "usage", usage: { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens } });
    }
    out.push({ type: "finish", reason: reasonOf(this.#reason, calls.length > 0) });
  }

  #reported(event: JsonObject): Failure {
    const failure = reportedFailure(event);
    const error = isJsonObject(event["error"]) ? event["error"] : {};
    // An overloaded server that has said nothing yet may be asked again.
    return error["type"] === "overloaded_error" && !this.#hasSpoken ? { ...failure, retryable: true } : failure;
  }

  #fail(failure: Failure, out: ModelEvent[]): void {
    this.isOver = true;
    out.push({ type: "failure", failure });
  }
}

interface TokenCounts {
  input: number;
  cacheCreation: number;
  cacheRead: number;
  output: number;
}

const reasons: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};

function reasonOf(reason: string | undefined, hasCalls: boolean): string {
  if (reason === undefined) return hasCalls ? "tool_calls" : "stop";
  return Object.hasOwn(reasons, reason) ? (reasons[reason] ?? reason) : reason;
}

function isError(event: JsonObject): boolean {
  return event["type"] === "error" || (event["error"] !== undefined && event["error"] !== null);
}
