import type { Price } from "../../contract/config.ts";
import type { Spending } from "../../contract/model.ts";
import { type Failure, WireError } from "../../errors.ts";
import { amountOf, roundUsd } from "./amounts.ts";
import { costOf } from "./prices.ts";
import type { Ledger } from "./ledger.ts";
import type { PromptScale } from "./prompt-scale.ts";

/** Tokens that are reserved for an answer whose length the host has not bounded. */
const USUAL_ANSWER = 8_192;
/** Least that a call costs which is not free, in dollars: above the noise that is not counted. */
const LEAST_COST = 2e-9;

/** A model call that wants to be made. */
export interface Applicant {
  /** Of the turn, its session and the process: a reservation is made in all of them, or in none. */
  ledgers: readonly Ledger[];
  price: Price | undefined;
  /** What the price was looked for under. */
  model: string;
  /** As it is estimated. */
  promptTokens: number;
  scale: PromptScale;
  maxTokens: number | undefined;
}

export interface Grant {
  /** What other calls have to leave room for. */
  reserved: Spending;
  /** What a crash counts the call as: never more than is reserved. */
  booked: Spending;
  /** Longest answer that the call may have. */
  maxTokens: number | undefined;
}

export type Verdict = Grant | { failure: Failure };

/**
 * Admits model calls in the order in which they came. One waits where the reservations of others leave no
 * room in a scope, and only those behind it wait that need the same scope. Every turn shares in the process,
 * so a call that waits for the process is overtaken by none, and one that waits for its session only by those of others.
 */
export class Admission {
  readonly #load: (ledger: Ledger) => Promise<void>;
  readonly #waiting = new Map<Applicant, (verdict: Verdict | "aborted") => void>();
  readonly #loading = new Set<Ledger>();

  /** `load` makes a ledger know what earlier turns have used. */
  constructor(load: (ledger: Ledger) => Promise<void>) {
    this.#load = load;
  }

  /** Resolves when the reservation was made, or why it is not; with "aborted" when `signal` was first. */
  apply(applicant: Applicant, signal: AbortSignal): Promise<Verdict | "aborted"> {
    return new Promise((resolve) => {
      const giveUp = () => {
        this.#answer(applicant, "aborted");
        // Those behind it need not wait for what it had waited for.
        this.review();
      };
      this.#waiting.set(applicant, (verdict) => {
        signal.removeEventListener("abort", giveUp);
        resolve(verdict);
      });
      signal.addEventListener("abort", giveUp, { once: true });
      this.review();
    });
  }

  /** Its turn is over. */
  withdraw(applicant: Applicant): void {
    this.#answer(applicant, "aborted");
    this.review();
  }

  /** Looks at those who wait again: something came back, or the limits are others. */
  review(): void {
    const full = new Set<Ledger>();
    for (const applicant of this.#waiting.keys()) {
      if (applicant.ledgers.some((ledger) => full.has(ledger))) continue;
      const verdict = this.#judge(applicant);
      if (!("waitsFor" in verdict)) {
        this.#answer(applicant, verdict);
        continue;
      }
      for (const ledger of verdict.waitsFor) full.add(ledger);
      // Everybody needs it.
      if (verdict.waitsFor.some(({ name }) => name === "process")) return;
    }
  }

  #judge(applicant: Applicant): Verdict | { waitsFor: Ledger[] } {
    const { ledgers } = applicant;
    const unknown = ledgers.filter((ledger) => !ledger.isLoaded && ledger.isInForce);
    for (const ledger of unknown) this.#loadFor(ledger);
    if (unknown.length > 0) return { waitsFor: unknown };
    const failure = refusal(applicant);
    if (failure !== undefined) return { failure };
    const grant = largestGrant(applicant);
    const full = ledgers.filter((ledger) => !ledger.hasRoomFor(grant.reserved));
    if (full.length > 0) return { waitsFor: full };
    for (const ledger of ledgers) ledger.reserve(grant.reserved);
    return grant;
  }

  #loadFor(ledger: Ledger): void {
    if (this.#loading.has(ledger)) return;
    this.#loading.add(ledger);
    this.#load(ledger)
      .catch((error: unknown) => {
        const failure = storageFailureOf(error);
        for (const applicant of this.#waiting.keys()) if (applicant.ledgers.includes(ledger)) this.#answer(applicant, { failure });
      })
      .finally(() => {
        this.#loading.delete(ledger);
        this.review();
      });
  }

  #answer(applicant: Applicant, verdict: Verdict | "aborted"): void {
    const answer = this.#waiting.get(applicant);
    this.#waiting.delete(applicant);
    answer?.(verdict);
  }
}

/** Why a budget that has to be kept could not be. */
export function storageFailureOf(error: unknown): Failure {
  // The words of other errors are not meant for hosts.
  const reason = error instanceof WireError ? `: ${error.message}` : "";
  return { kind: "storage", message: `What was used of the budgets could not be read or stored${reason}` };
}

/** Limits of what costs money hold only where it is known what that is. */
export function priceFailureOf(ledgers: readonly Ledger[], price: Price | undefined, model: string): Failure | undefined {
  const limited = price === undefined ? ledgers.find(({ limits }) => limits.maxCostUsd !== undefined) : undefined;
  if (limited === undefined) return undefined;
  return {
    kind: "invalid_params",
    message: `maxCostUsd of the ${limited.name} cannot be kept, because the price of "${model.slice(0, 128)}" is not known: add it to prices in the configuration`,
  };
}

function refusal({ ledgers, price, model, promptTokens, scale }: Applicant): Failure | undefined {
  // What the server has counted before is a fact; an estimate alone refuses nothing.
  const prompt = scale.isKnown ? scale.least(promptTokens) : 0;
  const least = price === undefined ? 0 : costOf({ promptTokens: Math.max(1, prompt), completionTokens: 1, totalTokens: Math.max(1, prompt) + 1 }, price);
  const needed = { tokens: prompt + 1, steps: 1, wallMs: 1, costUsd: least === 0 ? 0 : Math.max(least, LEAST_COST) };
  for (const ledger of ledgers) {
    const failure = ledger.exhaustion(needed);
    if (failure !== undefined) return failure;
  }
  return priceFailureOf(ledgers, price, model);
}

/**
 * What the call would get if no other were running. What is left bounds the answer, never the prompt. A
 * call whose size nobody can tell, the first one of a model, takes all that is left of shared limits
 * while it runs: what the server counts for it is the measure for the others.
 */
function largestGrant({ ledgers, price, promptTokens, maxTokens, scale }: Applicant): Grant {
  const left = leastLeft(ledgers);
  const shared = leastLeft(ledgers.filter(({ scope }) => scope !== undefined));
  const prompt = scale.most(promptTokens);
  const isLimited = Number.isFinite(left.tokens) || Number.isFinite(left.usd);
  const answer = Math.max(1, Math.min(maxTokens ?? USUAL_ANSWER, left.tokens - prompt, affordableAnswer(left.usd, prompt, price)));
  const costUsd = price === undefined ? 0 : costOf({ promptTokens: prompt, completionTokens: answer, totalTokens: prompt + answer }, price);
  const booked = amountOf({ tokens: Math.min(prompt + answer, left.tokens), steps: 1, costUsd: roundUsd(Math.min(costUsd, left.usd)) });
  const all = {
    tokens: Number.isFinite(shared.tokens) ? Math.max(booked.tokens, shared.tokens) : booked.tokens,
    costUsd: Number.isFinite(shared.usd) && costUsd > 0 ? Math.max(booked.costUsd, shared.usd) : booked.costUsd,
  };
  return { reserved: scale.isKnown ? booked : { ...booked, ...all }, booked, maxTokens: isLimited ? answer : maxTokens };
}

/** What is left where least is; infinite where nothing is limited. */
function leastLeft(ledgers: readonly Ledger[]): { tokens: number; usd: number } {
  const least = { tokens: Number.POSITIVE_INFINITY, usd: Number.POSITIVE_INFINITY };
  for (const { limits, used } of ledgers) {
    if (limits.maxTokens !== undefined) least.tokens = Math.min(least.tokens, limits.maxTokens - used.tokens);
    if (limits.maxCostUsd !== undefined) least.usd = Math.min(least.usd, limits.maxCostUsd - used.costUsd);
  }
  return least;
}

/** Tokens that the answer may have for this much money. */
function affordableAnswer(leftUsd: number, promptTokens: number, price: Price | undefined): number {
  if (price === undefined || price.outputPerMTok === 0) return Number.POSITIVE_INFINITY;
  return Math.floor((leftUsd * 1_000_000 - promptTokens * price.inputPerMTok) / price.outputPerMTok);
}
