import type { Price } from "../../contract/config.ts";
import type { Spending, Usage } from "../../contract/model.ts";
import type { Failure } from "../../errors.ts";
import { type Admission, type Applicant, type Grant, storageFailureOf } from "./admission.ts";
import { addUsage, amountOf, negative, roundUsd, sum } from "./amounts.ts";
import type { Bookkeeper } from "./bookkeeper.ts";
import type { BudgetFailure } from "./exhaustion.ts";
import type { Ledger, Runner } from "./ledger.ts";
import { costOf } from "./prices.ts";
import type { PromptScale } from "./prompt-scale.ts";

/** How long the end of a call is waited for whose turn is over: a call that was aborted tells a moment later what it took. Milliseconds. */
const SETTLE_MS = 250;

/** What one turn uses. One model call at a time. */
export interface TurnAccount {
  /** The time of the turn begins to count; at the latest it does with the first call. */
  begin(): void;
  /** Called once, when the time of the turn, or of what it shares in, is up: strictly over the limit. Must not throw. */
  onExhausted(listener: (failure: BudgetFailure) => void): void;
  /**
   * Reserves one model call in every scope, and waits while the reservations of other turns leave no room. `maxTokens` is the longest
   * answer that the call may have: always given where a limit of tokens or cost is in force, otherwise the host's own. Must be settled,
   * whatever becomes of the call. The failure is a `BudgetFailure`, or of kind `storage` when a limit is in force and the store fails.
   */
  reserveCall(
    call: { promptTokens: number; maxTokens: number | undefined },
    signal: AbortSignal,
  ): Promise<{ maxTokens: number | undefined } | { failure: Failure } | "aborted">;
  /** What the call has really taken; without usage from the server the estimate counts. Gives the failure when a limit is now passed. */
  settleCall(usage: Usage | undefined, estimate: { promptTokens: number; completionTokens: number }): BudgetFailure | undefined;
  /** Counts a tool call. The failure when it does not fit; then it is not counted. */
  takeToolCall(): BudgetFailure | undefined;
  /** Of all calls for which the server has told it. */
  readonly usage: Usage | undefined;
  /** US dollars for that usage, where the price is known. */
  readonly costUsd: number | undefined;
  /** Model calls, those included that have not ended. */
  readonly steps: number;
  /** Books the time and gives back what is reserved: at once, or when the call that is still running is settled, at most a moment later. Idempotent. */
  close(): void;
}

export interface AccountParts {
  /** From the narrowest to the widest. */
  ledgers: readonly Ledger[];
  price: Price | undefined;
  /** What the price was looked for under. */
  model: string;
  scale: PromptScale;
  admission: Admission;
  bookkeeper: Bookkeeper;
  now(): number;
  /** Called once, when nothing more will come. */
  onGone(account: Account): void;
}

export class Account implements TurnAccount, Runner {
  usage: Usage | undefined;
  costUsd: number | undefined;
  steps = 0;
  startedAt = 0;
  /** Resolves when nothing more will come, soon after `close`. */
  readonly gone: Promise<void>;
  readonly #parts: AccountParts;
  #hasBegun = false;
  #isClosed = false;
  #isGone = false;
  #tellGone: () => void = () => undefined;
  #applicant: Applicant | undefined;
  /** What is reserved for the call that is running. */
  #reserved: Pick<Grant, "reserved" | "booked"> | undefined;
  #patience: NodeJS.Timeout | undefined;
  #exhaustion: BudgetFailure | undefined;
  #listener: ((failure: BudgetFailure) => void) | undefined;

  constructor(parts: AccountParts) {
    this.#parts = parts;
    this.gone = new Promise((resolve) => {
      this.#tellGone = resolve;
    });
  }

  get ledgers(): readonly Ledger[] {
    return this.#parts.ledgers;
  }

  /** True while the end of a call is missing though the turn is over. */
  get isSettling(): boolean {
    return this.#isClosed && !this.#isGone;
  }

  begin(): void {
    if (this.#hasBegun || this.#isClosed) return;
    this.#hasBegun = true;
    this.startedAt = this.#parts.now();
    for (const ledger of this.ledgers) ledger.enter(this);
  }

  onExhausted(listener: (failure: BudgetFailure) => void): void {
    this.#listener = listener;
    if (this.#exhaustion !== undefined) listener(this.#exhaustion);
  }

  exhaust(failure: BudgetFailure): void {
    if (this.#exhaustion !== undefined || this.#isClosed) return;
    this.#exhaustion = failure;
    this.#listener?.(failure);
  }

  async reserveCall(
    call: { promptTokens: number; maxTokens: number | undefined },
    signal: AbortSignal,
  ): Promise<{ maxTokens: number | undefined } | { failure: Failure } | "aborted"> {
    if (this.#isClosed || signal.aborted) return "aborted";
    if (this.#applicant !== undefined || this.#reserved !== undefined) throw new Error("The call before was not settled");
    this.begin();
    const { ledgers, price, model, scale, admission, bookkeeper } = this.#parts;
    this.#applicant = { ledgers, price, model, scale, promptTokens: Math.ceil(call.promptTokens), maxTokens: call.maxTokens };
    try {
      const grant = await admission.apply(this.#applicant, signal);
      if (grant === "aborted" || "failure" in grant) return grant;
      this.#reserved = grant;
      this.steps++;
      this.#owe(grant.booked);
      // Before the call begins, so that a crash counts it as it was reserved.
      if (this.#isKept) await bookkeeper.handOver();
      else bookkeeper.schedule();
      // It may have been stopped meanwhile.
      if (!this.#mayGoOn(signal)) this.#giveBack();
      return this.#reserved === undefined ? "aborted" : { maxTokens: grant.maxTokens };
    } catch (error) {
      this.#giveBack();
      return { failure: storageFailureOf(error) };
    } finally {
      this.#applicant = undefined;
      this.#goWhenDone();
    }
  }

  settleCall(usage: Usage | undefined, estimate: { promptTokens: number; completionTokens: number }): BudgetFailure | undefined {
    const reserved = this.#reserved;
    if (reserved === undefined) return undefined;
    const { price } = this.#parts;
    const taken = usage ?? { ...estimate, totalTokens: estimate.promptTokens + estimate.completionTokens };
    const costUsd = price === undefined ? 0 : roundUsd(costOf(taken, price));
    const tokens = Math.ceil(Math.max(taken.totalTokens, taken.promptTokens + taken.completionTokens));
    if (usage !== undefined) {
      // What only the total holds is counted with the prompt: it is nothing that the answer is bounded by.
      this.#parts.scale.observe(estimate.promptTokens, Math.max(usage.promptTokens, usage.totalTokens - usage.completionTokens));
      this.usage = addUsage(this.usage, usage);
      if (price !== undefined) this.costUsd = roundUsd((this.costUsd ?? 0) + costUsd);
    }
    this.#settle(reserved, amountOf({ tokens, steps: 1, costUsd }));
    return this.#isClosed ? undefined : this.#exhaustionWith({});
  }

  takeToolCall(): BudgetFailure | undefined {
    if (this.#isClosed) return undefined;
    this.begin();
    const failure = this.#exhaustionWith({ toolCalls: 1 });
    if (failure === undefined) this.#use(amountOf({ toolCalls: 1 }));
    return failure;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#hasBegun) this.#use(amountOf({ wallMs: Math.max(0, Math.round(this.#parts.now() - this.startedAt)) }));
    for (const ledger of this.ledgers) ledger.leave(this);
    if (this.#applicant !== undefined) this.#parts.admission.withdraw(this.#applicant);
    else if (this.#reserved !== undefined) {
      // Somebody else would be given what this call may have used.
      this.#patience = setTimeout(() => this.#giveBack(), SETTLE_MS);
    }
    this.#goWhenDone();
  }

  #mayGoOn(signal: AbortSignal): boolean {
    return !this.#isClosed && !signal.aborted;
  }

  #exhaustionWith(needed: Partial<Spending>): BudgetFailure | undefined {
    for (const ledger of this.ledgers) {
      const failure = ledger.exhaustion(needed);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** As if the call had not been made. */
  #giveBack(): void {
    if (this.#reserved === undefined) return;
    this.steps--;
    this.#settle(this.#reserved, amountOf({}));
  }

  #settle({ reserved, booked }: Pick<Grant, "reserved" | "booked">, amount: Spending): void {
    clearTimeout(this.#patience);
    this.#reserved = undefined;
    for (const ledger of this.ledgers) ledger.settle(reserved, amount);
    this.#owe(sum(amount, negative(booked)));
    this.#keep();
    this.#parts.admission.review();
    this.#goWhenDone();
  }

  #use(amount: Spending): void {
    for (const ledger of this.ledgers) ledger.add(amount);
    this.#owe(amount);
    this.#keep();
  }

  #owe(amount: Spending): void {
    for (const { scope } of this.ledgers) if (scope !== undefined) this.#parts.bookkeeper.add(scope, amount);
  }

  /** Whether a limit depends on what the store knows. */
  get #isKept(): boolean {
    return this.ledgers.some(({ scope, isInForce }) => scope !== undefined && isInForce);
  }

  #keep(): void {
    if (this.#isKept) this.#parts.bookkeeper.handOverLater();
    else this.#parts.bookkeeper.schedule();
  }

  #goWhenDone(): void {
    if (this.#isGone || !this.#isClosed || this.#applicant !== undefined || this.#reserved !== undefined) return;
    this.#isGone = true;
    this.#parts.onGone(this);
    this.#tellGone();
  }
}
