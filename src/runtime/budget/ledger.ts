import type { Budget, Spending } from "../../contract/model.ts";
import type { SpendingScope } from "../../store/store.ts";
import { amountOf, atLeastNothing, negative, sum } from "./amounts.ts";
import { type BudgetFailure, exhaustionOf, hasLimits, type ScopeName } from "./exhaustion.ts";

/** A turn, as far as its time is concerned. */
export interface Runner {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Called when the time of the scope is up; may be called again. */
  exhaust(failure: BudgetFailure): void;
}

/** Longest wait of a timer. */
const MOST_MS = 2_147_483_647;

/**
 * What one scope has used, what of that is only reserved for calls that are running, and the time that its live turns take.
 * Lives as long as there are turns in the scope.
 */
export class Ledger {
  readonly name: ScopeName;
  /** Where it is kept; undefined for that of a turn, which ends with it. */
  readonly scope: SpendingScope | undefined;
  /** Turns that are open here. */
  members = 0;
  /** Whether it knows what earlier turns have used. */
  isLoaded: boolean;
  readonly #limits: () => Budget;
  readonly #now: () => number;
  /** Reservations included, as in the store. */
  #total = amountOf({});
  #reserved = amountOf({});
  #calls = 0;
  /** What was added while the store is being asked. */
  #meanwhile: Spending | undefined;
  readonly #runners = new Set<Runner>();
  /** Sum over the runners, so that time can be told without asking each. */
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: ScopeName, scope: SpendingScope | undefined, limits: () => Budget, now: () => number) {
    this.name = name;
    this.scope = scope;
    this.isLoaded = scope === undefined;
    this.#limits = limits;
    this.#now = now;
  }

  /** As the configuration says now. */
  get limits(): Budget {
    return this.#limits();
  }

  get isInForce(): boolean {
    return hasLimits(this.limits);
  }

  /** Of all live turns together. */
  get elapsedMs(): number {
    return Math.max(0, Math.round(this.#runners.size * this.#now() - this.#startedAt));
  }

  /** Without what is only reserved; steps count from the moment of the call, time as it passes. */
  get used(): Spending {
    const { tokens, costUsd } = this.#reserved;
    return atLeastNothing(sum(this.#total, amountOf({ tokens: -tokens, costUsd: -costUsd, wallMs: this.elapsedMs })));
  }

  /** What the calls that are running have reserved. */
  get reserved(): Spending {
    return { ...this.#reserved };
  }

  exhaustion(needed: Partial<Spending> = {}): BudgetFailure | undefined {
    return exhaustionOf(this.name, this.limits, this.used, needed);
  }

  /** Whether the reservation fits beside those of other calls; a call that is alone is the measure itself. */
  hasRoomFor({ tokens, costUsd }: Spending): boolean {
    if (this.#calls === 0) return true;
    const { maxTokens, maxCostUsd } = this.limits;
    const { tokens: allTokens, costUsd: allCost } = sum(this.#total, amountOf({ tokens, costUsd }));
    return (maxTokens === undefined || allTokens <= maxTokens) && (maxCostUsd === undefined || allCost <= maxCostUsd);
  }

  add(amount: Spending): void {
    this.#total = atLeastNothing(sum(this.#total, amount));
    if (this.#meanwhile !== undefined) this.#meanwhile = sum(this.#meanwhile, amount);
  }

  reserve(amount: Spending): void {
    this.add(amount);
    this.#reserved = sum(this.#reserved, amount);
    this.#calls++;
  }

  /** The call is over: `amount` takes the place of its reservation. */
  settle(reserved: Spending, amount: Spending): void {
    this.add(sum(amount, negative(reserved)));
    this.#reserved = sum(this.#reserved, negative(reserved));
    this.#calls--;
  }

  /** What the store is asked at this moment is the ground for what is added from now on. */
  beginReading(): void {
    this.#meanwhile = amountOf({});
  }

  /** `total`: what the store said; undefined when it said nothing. */
  endReading(total: Spending | undefined): void {
    if (total !== undefined) {
      this.#total = atLeastNothing(sum(total, this.#meanwhile ?? amountOf({})));
      this.isLoaded = true;
    }
    this.#meanwhile = undefined;
    this.watchTime();
  }

  /** The time of a turn begins to count. */
  enter(runner: Runner): void {
    this.#runners.add(runner);
    this.#startedAt += runner.startedAt;
    this.watchTime();
  }

  /** A turn is over; add its time first. */
  leave(runner: Runner): void {
    if (!this.#runners.delete(runner)) return;
    this.#startedAt -= runner.startedAt;
    this.watchTime();
  }

  /** Sets the timer anew: turns came or went, or the limit has changed. */
  watchTime(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const turns = this.#runners.size;
    const { maxWallMs } = turns === 0 ? {} : this.limits;
    if (maxWallMs === undefined) return;
    // The turns use up together what is left. It is passed strictly: at one millisecond more.
    const waitMs = Math.ceil((maxWallMs + 1 - this.used.wallMs) / turns);
    this.#timer = setTimeout(() => this.#endWhereTimeIsUp(), Math.min(Math.max(waitMs, 1), MOST_MS));
    this.#timer.unref();
  }

  #endWhereTimeIsUp(): void {
    const { maxWallMs } = this.limits;
    const failure = maxWallMs === undefined ? undefined : exhaustionOf(this.name, { maxWallMs }, this.used);
    if (failure === undefined) this.watchTime();
    else for (const runner of this.#runners) runner.exhaust(failure);
  }
}
