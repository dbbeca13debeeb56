import type { MessageBody, Store } from "../../store/store.ts";

/**
 * Writes down what a turn comes to. Messages are kept back until the next write, so that a round costs
 * one; a call with effects is durable before it begins and after it has ended. One write at a time: what
 * a write could not store goes with the next one, so that the messages stand in the store as they came.
 */
export class Journal {
  readonly #turnId: string;
  readonly #store: Store | undefined;
  /** Not handed to the store yet. */
  #draft: Draft = emptyDraft();
  #writing: Promise<void> | undefined;
  /** The write after that one. */
  #next: Promise<void> | undefined;
  /** Calls with effects that have begun and not ended, with whether they were really run. */
  readonly #begun = new Map<string, boolean>();
  #isClosed = false;

  /** `store` is undefined for a turn of which nothing is kept. */
  constructor(turnId: string, store: Store | undefined) {
    this.#turnId = turnId;
    this.#store = store;
  }

  /** A message that is complete; it is stored with the next write. */
  add(message: MessageBody): void {
    if (this.#store !== undefined && !this.#isClosed) this.#draft.messages.push(message);
  }

  /** A call with effects is about to run. Resolves when a crash would not forget it; rejects when it must not be run. */
  async begin(callId: string): Promise<void> {
    this.#begun.set(callId, false);
    await this.#write({ begun: callId });
  }

  /** From now on the call may have had its effect. */
  runs(callId: string): void {
    if (this.#begun.has(callId)) this.#begun.set(callId, true);
  }

  /** A call with effects has ended, and `addResult` adds its message. Resolves when that is durable. */
  async end(callId: string, addResult: () => void): Promise<void> {
    this.#begun.delete(callId);
    addResult();
    await this.#write({ ended: callId });
  }

  /** Hands over what is kept back, without waiting for it: a crash may take it. What fails is tried again with the next write. */
  flush(): void {
    if (!isEmpty(this.#draft)) this.#write({}).catch(() => undefined);
  }

  /**
   * The turn ends: nothing is taken any more. Gives the calls that were cut off in the middle; their results,
   * which `messageOf` makes, are added.
   */
  close(messageOf: (callId: string) => MessageBody): string[] {
    const cutOff = [...this.#begun].flatMap(([callId, ran]) => (ran ? [callId] : []));
    for (const callId of cutOff) this.add(messageOf(callId));
    for (const callId of this.#begun.keys()) {
      // One that was never run leaves no trace, whether the store has heard of it or not.
      if (this.#draft.begun.includes(callId)) this.#draft.begun = this.#draft.begun.filter((id) => id !== callId);
      else this.#draft.ended.push(callId);
    }
    this.#begun.clear();
    return cutOff;
  }

  /** Behind `close`, and whatever was added after it: resolves when all of it is stored. May be called again when it rejects. */
  async finish(): Promise<void> {
    this.#isClosed = true;
    // What a write could not store is in the draft again.
    while (this.#writing !== undefined) await this.#writing.catch(() => undefined);
    if (!isEmpty(this.#draft)) await this.#hand();
  }

  /** The same for the last moments of the process: within this call the store is given what it has not been given. */
  handOver(): void {
    this.#isClosed = true;
    // Nobody is left who could try it again.
    if (!isEmpty(this.#draft)) this.#hand().catch(() => undefined);
  }

  #write({ begun, ended }: { begun?: string; ended?: string }): Promise<void> {
    if (this.#store === undefined || this.#isClosed) return Promise.resolve();
    if (begun !== undefined) this.#draft.begun.push(begun);
    if (ended !== undefined) this.#draft.ended.push(ended);
    this.#draft.durable ||= begun !== undefined || ended !== undefined;
    if (this.#writing === undefined) return this.#hand();
    const again = () => {
      this.#next = undefined;
      return isEmpty(this.#draft) ? Promise.resolve() : this.#hand();
    };
    this.#next ??= this.#writing.then(again, again);
    return this.#next;
  }

  #hand(): Promise<void> {
    const draft = this.#draft;
    this.#draft = emptyDraft();
    this.#writing = this.#save(draft);
    return this.#writing;
  }

  async #save(draft: Draft): Promise<void> {
    try {
      await this.#store?.saveStep({ turnId: this.#turnId, ...draft });
    } catch (error) {
      this.#draft = joined(draft, this.#draft);
      throw error;
    } finally {
      this.#writing = undefined;
    }
  }
}

interface Draft {
  messages: MessageBody[];
  begun: string[];
  ended: string[];
  durable: boolean;
}

function emptyDraft(): Draft {
  return { messages: [], begun: [], ended: [], durable: false };
}

function isEmpty({ messages, begun, ended }: Draft): boolean {
  return messages.length + begun.length + ended.length === 0;
}

function joined(a: Draft, b: Draft): Draft {
  return {
    messages: [...a.messages, ...b.messages],
    begun: [...a.begun, ...b.begun],
    ended: [...a.ended, ...b.ended],
    durable: a.durable || b.durable,
  };
}
