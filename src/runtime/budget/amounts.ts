import type { Spending, Usage } from "../../contract/model.ts";

/** An amount, with nothing where nothing is said. Amounts may be negative: what is given back. */
export function amountOf(part: Partial<Spending>): Spending {
  return { tokens: 0, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0, ...part };
}

export function sum(a: Spending, b: Spending): Spending {
  return {
    tokens: a.tokens + b.tokens,
    steps: a.steps + b.steps,
    toolCalls: a.toolCalls + b.toolCalls,
    costUsd: roundUsd(a.costUsd + b.costUsd),
    wallMs: a.wallMs + b.wallMs,
  };
}

export function negative({ tokens, steps, toolCalls, costUsd, wallMs }: Spending): Spending {
  return { tokens: -tokens, steps: -steps, toolCalls: -toolCalls, costUsd: -costUsd, wallMs: -wallMs };
}

/** What is used is never below nothing: what is given back after a reset was no longer counted. The store does the same. */
export function atLeastNothing({ tokens, steps, toolCalls, costUsd, wallMs }: Spending): Spending {
  return {
    tokens: Math.max(0, tokens),
    steps: Math.max(0, steps),
    toolCalls: Math.max(0, toolCalls),
    costUsd: Math.max(0, costUsd),
    wallMs: Math.max(0, wallMs),
  };
}

/** Without the noise of binary fractions: three times 0.1 is what a limit of 0.3 allows. */
export function roundUsd(usd: number): number {
  return Math.round(usd * 1e10) / 1e10;
}

export function addUsage(sumSoFar: Usage | undefined, { promptTokens, completionTokens, totalTokens }: Usage): Usage {
  return {
    promptTokens: (sumSoFar?.promptTokens ?? 0) + promptTokens,
    completionTokens: (sumSoFar?.completionTokens ?? 0) + completionTokens,
    totalTokens: (sumSoFar?.totalTokens ?? 0) + totalTokens,
  };
}
