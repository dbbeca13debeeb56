import type { Spending } from "../contract/model.ts";

export function nothingSpent(): Spending {
  return { tokens: 0, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0 };
}

/** A sum is never below zero: what is given back after a reset was not counted any more. Nor is it beyond what a number can count. */
export function addSpending(sum: Spending, amount: Spending): Spending {
  const add = (key: keyof Spending): number => Math.min(Math.max(0, sum[key] + amount[key]), Number.MAX_SAFE_INTEGER);
  const addWhole = (key: keyof Spending): number => Math.round(add(key));
  return { tokens: addWhole("tokens"), steps: addWhole("steps"), toolCalls: addWhole("toolCalls"), costUsd: add("costUsd"), wallMs: addWhole("wallMs") };
}
