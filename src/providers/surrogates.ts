/**
 * Keeps surrogate pairs whole: servers that cut text by UTF-16 units send the halves of an emoji in
 * two deltas. A high half at the end waits for its low half; a half that stays alone becomes U+FFFD.
 * One is needed for each channel (text, reasoning).
 */
export class PairKeeper {
  #high = "";

  /** The text that may be sent now; may be empty. */
  push(delta: string): string {
    const text = this.#high === "" ? delta : this.#high + delta;
    this.#high = "";
    if (!loneHalf.test(text)) return text;
    if (!endsInHigh.test(text)) return whole(text);
    this.#high = text.slice(-1);
    return whole(text.slice(0, -1));
  }

  /** What is left when no more will come. */
  flush(): string {
    const rest = whole(this.#high);
    this.#high = "";
    return rest;
  }
}

const loneHalf = /\p{Surrogate}/u;
const endsInHigh = /[\ud800-\udbff]$/;

function whole(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}
