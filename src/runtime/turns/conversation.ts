import type { ChatMessage } from "../../contract/model.ts";
import { messageId } from "../../store/messages.ts";
import type { History } from "../../store/store.ts";
import { conversation } from "./history.ts";

/** A message that is sent to the model, with the place that it has in the store. */
interface Entry {
  message: ChatMessage;
  messageId: string;
  turnId: string;
}

/** What stands in front of a cut. */
export interface Head {
  /** Of what was before it. */
  summary: string | undefined;
  messages: ChatMessage[];
  /** Id of the last message. */
  through: string;
  /** The system message that holds, should it be among them. */
  system: ChatMessage | undefined;
  /** How many messages a summary of it stands for. */
  count: number;
}

/** What a model is sent during one turn: the summary of what was long ago, the turns before, and what this turn has come to. */
export class Conversation {
  /** Set where the model gave no summary: asked before every step, it would only cost more. */
  isIncompressible = false;
  readonly #turnId: string;
  #summary: { text: string; count: number } | undefined;
  /** The system message that the summary has swallowed: what the model was told to be still holds. */
  #system: ChatMessage | undefined;
  /** What the turn was asked. A summary made in the middle of the turn may swallow it, but the model still sees it word for word. */
  readonly #question: ChatMessage | undefined;
  #hasSwallowedQuestion = false;
  #entries: Entry[];
  /** How many of the entries are of turns before. */
  #before: number;
  #position = 0;

  /** `given`: what the turn was started with. */
  constructor(turnId: string, history: History | undefined, given: readonly ChatMessage[]) {
    this.#turnId = turnId;
    this.#summary = history?.summary === undefined ? undefined : { text: history.summary, count: history.summarized };
    this.#system = history?.system;
    this.#entries = [...(history?.messages ?? [])];
    this.#before = this.#entries.length;
    this.#question = given.findLast(({ role }) => role === "user");
    this.add(...given);
  }

  /** Messages that the turn has come to, in the order in which they are stored. */
  add(...messages: readonly ChatMessage[]): void {
    for (const message of messages) this.#entries.push({ message, messageId: messageId(this.#turnId, this.#position++), turnId: this.#turnId });
  }

  /** What the model is sent now. */
  messages(): ChatMessage[] {
    const all = this.#entries.map(({ message }) => message);
    const before = [
      ...(this.#system === undefined ? [] : [this.#system]),
      ...(this.#summary === undefined ? [] : [summaryMessage(this.#summary.text)]),
      ...(this.#question !== undefined && this.#hasSwallowedQuestion ? [this.#question] : []),
    ];
    return conversation([...before, ...all.slice(0, this.#before)], all.slice(this.#before));
  }

  /**
   * Where the conversation may be cut so that no call is torn from its result: in front of the entries at
   * these indexes, ascending. Between turns, as long as the last `keepTurns` and the current one stay whole.
   */
  cutsBetweenTurns(keepTurns: number): number[] {
    const starts = this.#entries.flatMap(({ turnId }, index) => (this.#entries[index - 1]?.turnId === turnId ? [] : [index]));
    const last = starts.at(-1 - keepTurns) ?? 0;
    return starts.filter((index) => index > 0 && index <= last && this.#isCut(index));
  }

  /** Of a conversation that no turn is added to: where all but the last `keepTurns` turns end; 0 when there is nothing in front. */
  cutOfAll(keepTurns: number): number {
    if (keepTurns > 0) return this.cutsBetweenTurns(keepTurns - 1).at(-1) ?? 0;
    const end = this.#entries.length;
    // Calls that the host has still to answer stay, and so does what stands behind them.
    return this.#isCut(end) ? end : this.#entries.findLastIndex(({ message }) => message.role === "assistant");
  }

  /** The same within turns: in front of each call of the model. */
  cutsBetweenSteps(): number[] {
    return this.#entries.flatMap(({ message }, index) => (index > 0 && message.role === "assistant" ? [index] : []));
  }

  /** What stands in front of a cut. */
  head(cut: number): Head {
    const head = this.#entries.slice(0, cut);
    return {
      summary: this.#summary?.text,
      messages: head.map(({ message }) => message),
      through: head.at(-1)?.messageId ?? "",
      system: head.findLast(({ message }) => message.role === "system")?.message ?? this.#system,
      count: (this.#summary?.count ?? 0) + head.length,
    };
  }

  /** `text` takes the place of everything in front of the cut. */
  summarize(cut: number, text: string): void {
    const { system, count } = this.head(cut);
    this.#summary = { text, count };
    this.#system = system;
    this.#hasSwallowedQuestion ||= this.#entries.slice(0, cut).some(({ message }) => message === this.#question);
    this.#before = Math.max(0, this.#before - cut);
    this.#entries = this.#entries.slice(cut);
  }

  /** Whether no call in front of it can have its result behind it. */
  #isCut(index: number): boolean {
    // System messages are moved to the front, so they end nothing.
    const next = this.#entries.slice(index).find(({ message }) => message.role !== "system");
    if (next !== undefined) return next.message.role !== "tool";
    const open = new Set<string>();
    for (const { message } of this.#entries.slice(0, index)) {
      if (message.role === "tool") open.delete(message.toolCallId ?? "");
      else if (message.role !== "system") open.clear();
      if (message.role === "assistant") for (const { id } of message.toolCalls ?? []) open.add(id);
    }
    return open.size === 0;
  }
}

/** How a summary is put to the model: as what somebody tells it, which every server takes. */
function summaryMessage(text: string): ChatMessage {
  return { role: "user", content: `What was said and done before, in short:\n\n${text}` };
}
