import type { NotificationParams, Result } from "../contract/index.ts";

/** A call that the model asked for; `result` is absent where it is one of `tools`, which the host runs, or was cut off. */
export type ChatToolCall = Result<"agent.chat.complete">["toolCalls"][number];

/** The calls of one stream, in order, each with what it came to. */
export class CollectedCalls {
  readonly #calls: ChatToolCall[] = [];

  get all(): ChatToolCall[] {
    return this.#calls.map((call) => ({ ...call }));
  }

  add({ toolCall, toolResult }: Pick<NotificationParams<"stream.chunk">, "toolCall" | "toolResult">): void {
    if (toolCall !== undefined) this.#calls.push({ ...toolCall });
    if (toolResult === undefined) return;
    const { id, name: _name, ...result } = toolResult;
    // From the end: model servers may use an id again, and the results of a step come before its next calls.
    const call = this.#calls.findLast((made) => made.id === id && made.result === undefined);
    if (call !== undefined) call.result = result;
  }
}
