import type { Budget, Spending } from "../../contract/model.ts";
import type { Failure } from "../../errors.ts";

/** Whose budget it is, from the narrowest to the widest. */
export type ScopeName = "turn" | "session" | "process";

/** Says which limit was passed, and by how much. */
export interface BudgetFailure extends Failure {
  kind: "budget_exhausted";
  scope: ScopeName;
  limit: keyof Budget;
  max: number;
  /** Without what was refused. */
  used: number;
}

/** In the order in which they are looked at. */
const limitsAndAmounts = [
  ["maxTokens", "tokens"],
  ["maxSteps", "steps"],
  ["maxToolCalls", "toolCalls"],
  ["maxCostUsd", "costUsd"],
  ["maxWallMs", "wallMs"],
] as const satisfies readonly (readonly [keyof Budget, keyof Spending])[];

/**
 * Why nothing more may be begun: more is used than a limit allows, or would be with what is `needed` at least.
 * What is exactly used up is fine.
 */
export function exhaustionOf(scope: ScopeName, limits: Budget, used: Spending, needed: Partial<Spending> = {}): BudgetFailure | undefined {
  for (const [limit, amount] of limitsAndAmounts) {
    const max = limits[limit];
    if (max === undefined) continue;
    const isPassed = overBy(amount, used[amount] - max) > 0;
    const over = overBy(amount, used[amount] + (isPassed ? 0 : (needed[amount] ?? 0)) - max);
    if (over <= 0) continue;
    const facts = isPassed ? `${plain(max)} and ${plain(used[amount])} were used` : factsOfNeed(amount, max, used[amount], needed[amount] ?? 0);
    return {
      kind: "budget_exhausted",
      message: `The budget of the ${scope} is exhausted: ${limit} is ${facts} (${plain(over)} over)`,
      scope,
      limit,
      max,
      used: used[amount],
    };
  }
  return undefined;
}

export function hasLimits(limits: Budget): boolean {
  return limitsAndAmounts.some(([limit]) => limits[limit] !== undefined);
}

function factsOfNeed(amount: keyof Spending, max: number, used: number, needed: number): string {
  if (amount === "steps" || amount === "toolCalls") return `${max} and ${ordinal(used + needed)} was needed`;
  return `${plain(max)}, ${plain(used)} were used, and a further call needs at least ${plain(needed)}`;
}

/** A billionth of a dollar is noise, see `roundUsd`. */
function overBy(amount: keyof Spending, over: number): number {
  return amount === "costUsd" ? Math.round(over * 1e9) / 1e9 : over;
}

/** 0.00000075 instead of 7.5e-7. */
function plain(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(10).replace(/\.?0+$/, "");
}

function ordinal(count: number): string {
  const article = /^8|^1[18]$/.test(String(count)) ? "an" : "a";
  const [ones, tens] = [count % 10, count % 100];
  const ending = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][ones] ?? "th");
  return `${article} ${count}${ending}`;
}
