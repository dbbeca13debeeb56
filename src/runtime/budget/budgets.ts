import type { Config } from "../../contract/config.ts";
import type { Budget, Spending } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { SpendingScope, Store } from "../../store/store.ts";
import { KeyedQueue } from "../queue.ts";
import { Account, type TurnAccount } from "./account.ts";
import { Admission, priceFailureOf } from "./admission.ts";
import { amountOf, negative, sum } from "./amounts.ts";
import { Bookkeeper } from "./bookkeeper.ts";
import type { ScopeName } from "./exhaustion.ts";
import { Ledger } from "./ledger.ts";
import { priceOf } from "./prices.ts";
import type { PromptScale } from "./prompt-scale.ts";

export type { TurnAccount } from "./account.ts";
export type { BudgetFailure } from "./exhaustion.ts";

export interface BudgetsDependencies {
  /** Opened on first use. */
  store(): Promise<Store>;
  /** As the configuration says now. */
  limits(): Record<ScopeName, Budget>;
  /** Milliseconds since the epoch. */
  now(): number;
  log: Log;
  /** How the prompts of a model are measured. */
  scaleOf(model: string): PromptScale;
}

/** What a turn shares in, and what its calls cost. */
export interface TurnBudget {
  sessionId: string | undefined;
  /** What the host has said; what it leaves out is as configured for turns. */
  budget: Budget | undefined;
  /** Its name stands for the model where there is none. */
  provider: string;
  model: string | undefined;
  prices: Config["prices"];
}

export interface BudgetState {
  used: Spending;
  limits: Budget;
}

/**
 * The budgets of turns, sessions and the process. What a call may take is reserved before it in every scope it belongs to
 * and settled after it, so calls that run side by side never pass a limit together, as long as none takes more than was
 * reserved: its answer is bounded, its prompt an estimate. The store keeps what is used and reserved, so a crash counts a call
 * that was running as it was reserved.
 *
 * Several processes on one database add to the same sums, but each only looks at them when it opens a turn in a scope
 * that has no live turn of its own: between processes limits hold roughly.
 */
export class Budgets {
  readonly #deps: BudgetsDependencies;
  readonly #bookkeeper: Bookkeeper;
  readonly #admission: Admission;
  readonly #accounts = new Set<Account>();
  /** Scopes with live turns that share in them. */
  readonly #shared = new Map<string, Ledger>();
  readonly #loading = new Map<Ledger, Promise<void>>();
  /** What is read and reset of one scope keeps its order. */
  readonly #readings = new KeyedQueue();

  constructor(deps: BudgetsDependencies) {
    this.#deps = deps;
    this.#bookkeeper = new Bookkeeper(deps.store, deps.log);
    this.#admission = new Admission((ledger) => this.#load(ledger));
  }

  /**
   * Opens the account of a turn; it has to be closed. Rejects with `invalid_params` (`data.code` price_unknown) when a limit of cost is in
   * force and the price of the model is not known, and, where a session or the process has limits, with `storage` or `session_not_found`.
   */
  async open({ sessionId, budget, provider, model, prices }: TurnBudget): Promise<TurnAccount> {
    const { limits, now } = this.#deps;
    const priced = model ?? provider;
    const price = priceOf(priced, prices);
    const ledgers = [new Ledger("turn", undefined, () => ({ ...limits().turn, ...budget }), now), ...this.#join(sessionId)];
    const account = new Account({
      ledgers,
      price,
      model: priced,
      scale: this.#deps.scaleOf(priced),
      admission: this.#admission,
      bookkeeper: this.#bookkeeper,
      now,
      onGone: (gone) => this.#leave(gone),
    });
    this.#accounts.add(account);
    try {
      const unpriced = priceFailureOf(ledgers, price, priced);
      if (unpriced !== undefined) {
        const path = budget?.maxCostUsd === undefined ? "model" : "budget.maxCostUsd";
        throw fail("invalid_params", { path, code: "price_unknown" }, unpriced.message);
      }
      await Promise.all(ledgers.filter(({ isInForce, isLoaded }) => isInForce && !isLoaded).map((ledger) => this.#load(ledger)));
      return account;
    } catch (error) {
      account.close();
      throw error;
    }
  }

  /** For `agent.budget.get`. The time of live turns is counted in. Rejects with `session_not_found` or `storage`. */
  async state(sessionId: string | undefined): Promise<{ process: BudgetState; session?: BudgetState }> {
    const session = sessionId === undefined ? undefined : { kind: "session" as const, sessionId };
    const [ofProcess, ofSession] = await this.#bookkeeper.ask((store) =>
      Promise.all([store.spent({ kind: "process" }), session === undefined ? undefined : store.spent(session)]),
    );
    const stateOf = (scope: SpendingScope, spent: Spending): BudgetState => {
      const wallMs = this.#shared.get(keyOf(scope))?.elapsedMs ?? 0;
      return { used: sum(spent, amountOf({ wallMs })), limits: this.#deps.limits()[scope.kind] };
    };
    const process = stateOf({ kind: "process" }, ofProcess);
    return session === undefined || ofSession === undefined ? { process } : { process, session: stateOf(session, ofSession) };
  }

  /** For `agent.budget.reset`. What is reserved for calls that are running stays counted. Rejects with `session_not_found` or `storage`. */
  async reset(sessionId: string | undefined): Promise<void> {
    const scope = scopesOf(sessionId)[0] ?? { kind: "process" };
    await this.#read(scope, async (store) => {
      // In one moment, so that nothing else comes between the two.
      const reserved = this.#shared.get(keyOf(scope))?.reserved ?? amountOf({});
      const [reset, restored] = await Promise.allSettled([store.resetSpending(scope), store.spend([{ scope, amount: reserved }])]);
      if (reset.status === "rejected") {
        if (restored.status === "fulfilled") this.#bookkeeper.add(scope, negative(reserved));
        throw reset.reason;
      }
      if (restored.status === "rejected") this.#bookkeeper.add(scope, reserved);
      return reserved;
    });
    this.#bookkeeper.schedule();
    this.#admission.review();
  }

  /** The configuration has changed: those who wait are looked at again, and time is measured anew. */
  limitsChanged(): void {
    for (const { ledgers } of this.#accounts) {
      for (const ledger of ledgers) {
        ledger.watchTime();
        // It was not needed before. Should the store fail, the next call of a turn will tell.
        if (ledger.isInForce && !ledger.isLoaded) this.#load(ledger).catch(() => undefined);
      }
    }
    this.#admission.review();
  }

  /** For the end of the process: everything that is owed to the store was handed over. Never rejects. */
  async flush(): Promise<void> {
    // Those that were stopped tell in a moment what their last call took.
    const settling = [...this.#accounts].filter(({ isSettling }) => isSettling);
    await Promise.all(settling.map(({ gone }) => gone));
    await this.#bookkeeper.flush();
  }

  #join(sessionId: string | undefined): Ledger[] {
    const { limits, now } = this.#deps;
    return scopesOf(sessionId).map((scope) => {
      const key = keyOf(scope);
      const ledger = this.#shared.get(key) ?? new Ledger(scope.kind, scope, () => limits()[scope.kind], now);
      this.#shared.set(key, ledger);
      ledger.members++;
      return ledger;
    });
  }

  #leave(account: Account): void {
    this.#accounts.delete(account);
    for (const ledger of account.ledgers) {
      ledger.members--;
      if (ledger.scope !== undefined && ledger.members === 0) this.#shared.delete(keyOf(ledger.scope));
    }
  }

  /** Single flight. */
  #load(ledger: Ledger): Promise<void> {
    const { scope } = ledger;
    if (scope === undefined || ledger.isLoaded) return Promise.resolve();
    const loading = this.#loading.get(ledger) ?? this.#read(scope, (store) => store.spent(scope)).finally(() => this.#loading.delete(ledger));
    this.#loading.set(ledger, loading);
    return loading;
  }

  /** Asks for what a scope has used; the answer counts from the moment of the question on. */
  #read(scope: SpendingScope, question: (store: Store) => Promise<Spending>): Promise<void> {
    return this.#readings.run(keyOf(scope), async () => {
      let ledger: Ledger | undefined;
      let total: Spending | undefined;
      try {
        total = await this.#bookkeeper.ask(question, () => {
          ledger = this.#shared.get(keyOf(scope));
          ledger?.beginReading();
        });
      } finally {
        ledger?.endReading(total);
      }
    });
  }
}

/** From the narrowest to the widest. */
function scopesOf(sessionId: string | undefined): SpendingScope[] {
  return [...(sessionId === undefined ? [] : [{ kind: "session" as const, sessionId }]), { kind: "process" }];
}

function keyOf(scope: SpendingScope): string {
  return scope.kind === "process" ? "process" : `session ${scope.sessionId}`;
}
