import { redactText } from "../../../redact.ts";

/** Stands for every value beyond the first ones. */
export const OTHER = "other";

const MOST_VALUES = 200;
const LONGEST_VALUE = 128;

/**
 * The values of one label that callers choose, such as models. Each makes series that stay for ever, so only so many
 * are told apart, and of each only its beginning. Secrets in them are masked.
 */
export class LabelValues {
  readonly #known = new Map<string, string>();

  of(value: string): string {
    const start = value.slice(0, LONGEST_VALUE);
    const known = this.#known.get(start);
    if (known !== undefined) return known;
    if (this.#known.size >= MOST_VALUES) return OTHER;
    // Before it is cut: what is left of a secret need not look like one.
    const label = redactText(value.slice(0, 16 * LONGEST_VALUE)).slice(0, LONGEST_VALUE);
    this.#known.set(start, label);
    return label;
  }
}
