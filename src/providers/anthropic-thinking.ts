import type { ProviderData } from "../contract/model.ts";
import { isJsonObject, type JsonObject, listOf } from "./json.ts";

/** A thinking block as the Messages API sends it, and wants it back: the signature covers the text. */
export type ThinkingBlock = { type: "thinking"; thinking: string; signature: string } | { type: "redacted_thinking"; data: string };

/**
 * Collects the signed thinking of one answer. With thinking switched on, the API wants it back,
 * unchanged and in front, together with the tool calls that it led to ("Extended thinking with tool
 * use" in its reference).
 */
export class ThinkingCollector {
  /** In the order in which the blocks began. */
  readonly #blocks = new Map<number, ThinkingBlock>();
  #size = 0;

  /** A content block has begun, or stands here as a whole. */
  start(index: number, block: JsonObject): void {
    const { type, thinking, signature, data } = block;
    if (type === "thinking") this.#open(index, { type, thinking: stringOf(thinking), signature: stringOf(signature) });
    if (type === "redacted_thinking") this.#open(index, { type, data: stringOf(data) });
  }

  /** A content block goes on. */
  add(index: number, delta: JsonObject): void {
    const block = this.#blocks.get(index);
    if (block?.type !== "thinking") return;
    if (delta["type"] === "thinking_delta") this.#open(index, { ...block, thinking: block.thinking + stringOf(delta["thinking"]) });
    if (delta["type"] === "signature_delta") this.#open(index, { ...block, signature: block.signature + stringOf(delta["signature"]) });
  }

  /** The blocks in order; none when there was more than can be kept. Unsigned ones are refused by the API, and left out. */
  finish(): ThinkingBlock[] {
    return this.#size > MOST_CHARACTERS ? [] : [...this.#blocks.values()].filter(isWhole);
  }

  #open(index: number, block: ThinkingBlock): void {
    this.#size += sizeOf(block) - sizeOf(this.#blocks.get(index));
    // Part of a thought fits no signature: nothing is kept once it is too much.
    if (this.#size > MOST_CHARACTERS) this.#blocks.clear();
    else this.#blocks.set(index, block);
  }
}

/** The blocks that `ThinkingCollector` left in an assistant message; none when they are not exactly of its form. */
export function thinkingIn(data: ProviderData | undefined): ThinkingBlock[] {
  const own = data?.["anthropic"];
  const given = isJsonObject(own) ? listOf(own["thinking"]) : [];
  const blocks = given.flatMap(readBlock);
  // The API takes the whole sequence or none of it.
  return blocks.length === given.length ? blocks : [];
}

/** No model thinks more than this in one answer, by far. */
const MOST_CHARACTERS = 16 * 1024 * 1024;

function readBlock(value: unknown): ThinkingBlock[] {
  if (!isJsonObject(value)) return [];
  const { type, thinking, signature, data } = value;
  const blocks: ThinkingBlock[] = [];
  if (type === "thinking" && typeof thinking === "string" && typeof signature === "string") blocks.push({ type, thinking, signature });
  if (type === "redacted_thinking" && typeof data === "string") blocks.push({ type, data });
  return blocks.filter(isWhole);
}

/** The text may be empty: the API can be told to sign thinking without showing it. */
function isWhole(block: ThinkingBlock): boolean {
  return (block.type === "thinking" ? block.signature : block.data) !== "";
}

/** The type counts too, so that empty blocks without end are not kept either. */
function sizeOf(block: ThinkingBlock | undefined): number {
  return Object.values(block ?? {}).reduce((sum, text: string) => sum + text.length, 0);
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
