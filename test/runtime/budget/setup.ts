import { setMaxListeners } from "node:events";
import type { Config } from "../../../src/contract/config.ts";
import type { Budget, Usage } from "../../../src/contract/model.ts";
import { createLog, type Log } from "../../../src/log.ts";
import { Budgets, type TurnAccount } from "../../../src/runtime/budget/budgets.ts";
import type { PromptScale } from "../../../src/runtime/budget/prompt-scale.ts";
import { openMemoryStore } from "../../../src/store/memory.ts";
import type { Store } from "../../../src/store/store.ts";

/** A dollar for a million tokens of either kind, so that a token is a millionth of a dollar. */
export const prices: Config["prices"] = { priced: { inputPerMTok: 1, outputPerMTok: 1 } };

/** Of a turn that nobody stops; many wait with it. */
export const running = new AbortController().signal;
setMaxListeners(0, running);

export const log: Log = createLog({ level: "ERROR", write: () => undefined });

export async function memoryStore(sessions: readonly string[] = []): Promise<Store> {
  const store = await openMemoryStore({ path: ":memory:", keepTraces: 10, now: Date.now });
  for (const sessionId of sessions) await store.upsertSession({ sessionId, userId: "u", chatId: "c", currentStage: "s", scenario: "x" });
  return store;
}

export type Limits = Record<"turn" | "session" | "process", Budget>;

export interface Setup {
  limits: Limits;
  budgets: Budgets;
  store: Store;
  /** Opens a turn with a model that costs something. */
  open(turn?: { sessionId?: string; budget?: Budget; model?: string }): Promise<TurnAccount>;
}

/** Of a model whose server counts what is estimated. */
const exact: PromptScale = { isKnown: true, least: () => 0, most: (estimate) => estimate, observe: () => undefined };

/** Budgets over a store of which some methods may be replaced. */
export async function setup(
  limits: Partial<Limits> = {},
  {
    store,
    log: ownLog = log,
    scale = exact,
    now = Date.now,
    ...replaced
  }: Partial<Store> & { store?: Store; log?: Log; scale?: PromptScale; now?: () => number } = {},
): Promise<Setup> {
  const inner = store ?? (await memoryStore(["s1", "s2", "s3", "s4", "s5"]));
  const outer: Store = { ...inner, ...replaced };
  const all = { turn: {}, session: {}, process: {}, ...limits };
  const budgets = new Budgets({ store: async () => outer, limits: () => all, scaleOf: () => scale, now, log: ownLog });
  return {
    limits: all,
    budgets,
    store: inner,
    open: ({ sessionId, budget, model = "priced" } = {}) => budgets.open({ sessionId, budget, provider: "scripted", model, prices }),
  };
}

export function usageOf(promptTokens: number, completionTokens: number): Usage {
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}

/** Makes a call that takes this much. Gives what stopped it: before, or after. */
export async function call(account: TurnAccount, promptTokens: number, completionTokens: number, maxTokens: number | undefined = undefined) {
  const room = await account.reserveCall({ promptTokens, maxTokens }, running);
  if (room === "aborted") return room;
  if ("failure" in room) return room.failure;
  return account.settleCall(usageOf(promptTokens, completionTokens), { promptTokens: 0, completionTokens: 0 });
}

/** Lets everything happen that only waits for promises. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
