/** How the size of a prompt, as it is estimated, relates to what a model server counts. */
export interface PromptScale {
  /** False as long as no server has told a count: an estimate alone may be far off. */
  readonly isKnown: boolean;
  /** Fewest tokens that a prompt of this estimate is likely to count. */
  least(estimate: number): number;
  /** Most tokens. */
  most(estimate: number): number;
  observe(estimate: number, counted: number): void;
}

/** From this estimate on what is added to every prompt (templates, hidden instructions) no longer matters. */
const LARGE = 1_000;

/** Learned from what the server of one model has counted so far, for as long as the process runs. */
export class LearnedScale implements PromptScale {
  #lowest: number | undefined;
  /** Of large prompts: a factor. Of small ones: what comes on top. */
  #factor = 1;
  #extra = 0;

  get isKnown(): boolean {
    return this.#lowest !== undefined;
  }

  least(estimate: number): number {
    return Math.max(1, Math.floor(estimate * (this.#lowest ?? 0)));
  }

  most(estimate: number): number {
    return Math.ceil(Math.max(estimate * this.#factor, estimate + this.#extra));
  }

  observe(estimate: number, counted: number): void {
    const ratio = counted / Math.max(1, estimate);
    this.#lowest = Math.min(this.#lowest ?? ratio, ratio);
    if (estimate >= LARGE) this.#factor = Math.max(this.#factor, ratio);
    else this.#extra = Math.max(this.#extra, counted - estimate);
  }
}

/** The scales of all models that are asked. */
export class PromptScales {
  readonly #scales = new Map<string, PromptScale>();

  /** Undefined for a model that was not asked yet. */
  known(model: string): PromptScale | undefined {
    return this.#scales.get(model);
  }

  of(model: string): PromptScale {
    const known = this.#scales.get(model) ?? new LearnedScale();
    this.#scales.set(model, known);
    return known;
  }
}
