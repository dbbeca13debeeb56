/** Runs tasks with the same key one after the other, in the order they came; others do not wait. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>();
  #waiting = 0;

  /** Tasks that wait for those before them. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether a task with this key would have to wait. */
  isBusy(key: string): boolean {
    return this.#tails.has(key);
  }

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const result = before === undefined ? task() : this.#behind(before, task);
    const tail = result.catch(() => undefined);
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }

  /** `before` never rejects. */
  #behind<T>(before: Promise<unknown>, task: () => Promise<T>): Promise<T> {
    this.#waiting++;
    return before.then(() => {
      this.#waiting--;
      return task();
    });
  }
}
