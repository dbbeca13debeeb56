/** A value that is looked for when it is asked for, by all who ask at a time together, and then kept for a while. */
export class Cached<T> {
  readonly #find: () => Promise<T>;
  readonly #keepMs: (value: T) => number;
  readonly #now: () => number;
  #finding: Promise<T> | undefined;
  #kept: { value: T; until: number } | undefined;

  /** `keepMs` and `now` in milliseconds. */
  constructor(find: () => Promise<T>, keepMs: (value: T) => number, now: () => number) {
    this.#find = find;
    this.#keepMs = keepMs;
    this.#now = now;
  }

  /** Rejects as `find` does; whoever asks after that makes it try again. */
  get(): Promise<T> {
    if (this.#kept !== undefined && this.#now() < this.#kept.until) return Promise.resolve(this.#kept.value);
    this.#finding ??= this.#look().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  async #look(): Promise<T> {
    const value = await this.#find();
    this.#kept = { value, until: this.#now() + this.#keepMs(value) };
    return value;
  }
}
