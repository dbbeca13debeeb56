import type { ProviderData, ToolCall, Usage } from "../../contract/model.ts";
import type { Answer } from "../../store/store.ts";

/** Characters that are kept of an answer that nobody stores, to send it along with the next model call: far more than any model says. */
const MOST_UNSTORED = 4 * 1024 * 1024;

/** What a model says in one call, as far as it has come. */
export class AnswerInProgress {
  readonly toolCalls: ToolCall[] = [];
  finishReason: string | undefined;
  usage: Usage | undefined;
  providerData: ProviderData | undefined;
  /** True once anything of it was passed on: a second try would repeat it. */
  hasSpoken = false;

  readonly #isStored: boolean;
  #text = "";
  #reasoning = "";
  /** Characters that were said, kept or not. */
  #length = 0;
  /** What has been said since the last save. */
  #unsaved = { text: "", reasoning: "" };
  #saving = false;

  constructor(isStored: boolean) {
    this.#isStored = isStored;
  }

  get text(): string {
    return this.#text;
  }

  /** Characters so far, for an estimate of tokens. */
  get length(): number {
    return this.#length;
  }

  /** Undefined when nothing was said. */
  get content(): Answer | undefined {
    return this.hasSpoken ? { text: this.#text, reasoning: this.#reasoning, toolCalls: this.toolCalls, providerData: this.providerData } : undefined;
  }

  add(field: "delta" | "reasoningDelta", text: string): void {
    this.hasSpoken = true;
    this.#length += text.length;
    if (!this.#isStored && this.#length > MOST_UNSTORED) return;
    if (field === "delta") this.#text += text;
    else this.#reasoning += text;
    if (!this.#isStored) return;
    if (field === "delta") this.#unsaved.text += text;
    else this.#unsaved.reasoning += text;
  }

  ask(call: ToolCall): void {
    this.hasSpoken = true;
    this.#length += call.name.length + (call.argumentsText ?? JSON.stringify(call.arguments)).length;
    this.toolCalls.push(call);
  }

  /** Takes what has not been saved yet; undefined when there is nothing, or while a save is on its way. */
  takeUnsaved(): { text: string; reasoning: string } | undefined {
    const part = this.#unsaved;
    if (this.#saving || (part.text === "" && part.reasoning === "")) return undefined;
    this.#saving = true;
    this.#unsaved = { text: "", reasoning: "" };
    return part;
  }

  /** What was taken is safe. */
  saved(): void {
    this.#saving = false;
  }

  /** What was taken could not be saved: it is taken again the next time, in front of what came since. */
  putBack(part: { text: string; reasoning: string }): void {
    this.#saving = false;
    this.#unsaved = { text: part.text + this.#unsaved.text, reasoning: part.reasoning + this.#unsaved.reasoning };
  }
}
