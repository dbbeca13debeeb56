/** A map that forgets: what is older than `lifeMs`, and the oldest when there are more than `most`. */
export class Recent<V> {
  readonly #lifeMs: number;
  readonly #most: number;
  readonly #now: () => number;
  /** All live equally long, so the order of insertion is the order of expiry. */
  readonly #entries = new Map<string, { value: V; until: number }>();

  constructor({ lifeMs, most, now }: { lifeMs: number; most: number; now: () => number }) {
    this.#lifeMs = lifeMs;
    this.#most = most;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry === undefined || entry.until <= this.#now() ? undefined : entry.value;
  }

  /** Its life begins anew. */
  set(key: string, value: V): void {
    const now = this.#now();
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + this.#lifeMs });
    for (const [oldest, { until }] of this.#entries) {
      if (until > now && this.#entries.size <= this.#most) break;
      this.#entries.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
