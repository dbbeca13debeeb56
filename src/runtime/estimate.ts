import type { Config } from "../contract/config.ts";
import type { Params, Result } from "../contract/index.ts";
import type { Store } from "../store/store.ts";
import { roundUsd } from "./budget/amounts.ts";
import { costOf, priceOf } from "./budget/prices.ts";
import type { PromptScales } from "./budget/prompt-scale.ts";
import { estimateTokens } from "./budget/tokens.ts";
import { type Models, requireModel } from "./models.ts";
import type { SessionModels } from "./session-models.ts";
import { Conversation } from "./turns/conversation.ts";

export interface EstimatesDependencies {
  models: Models;
  sessionModels: SessionModels;
  scales: PromptScales;
  config(): Config;
  /** Opened on first use. */
  store(): Promise<Store>;
}

/** `agent.chat.estimate`: what a turn would send, and what that would cost. */
export class Estimates {
  readonly #deps: EstimatesDependencies;

  constructor(deps: EstimatesDependencies) {
    this.#deps = deps;
  }

  /** Needs no key, for nobody is asked. Rejects with `session_not_found`, `storage` or `invalid_params`. */
  async estimate(params: Params<"agent.chat.estimate">): Promise<Result<"agent.chat.estimate">> {
    const { models, sessionModels, scales, config } = this.#deps;
    const { session, history } = await this.#history(params.sessionId);
    const choice = models.choose(params, sessionModels.of(session));
    requireModel(choice);
    const { entry, provider, model } = choice;
    const priced = model ?? entry.name;
    const estimated = estimateTokens(new Conversation("", history, params.messages).messages(), params.tools);
    const promptTokens = scales.known(priced)?.most(estimated) ?? estimated;
    const maxTokens = params.maxTokens ?? choice.session.maxTokens;
    const price = priceOf(priced, config().prices);
    const costWith = (completionTokens: number) =>
      price === undefined ? undefined : roundUsd(costOf({ promptTokens, completionTokens, totalTokens: promptTokens + completionTokens }, price));
    const costUsd = costWith(0);
    const maxCostUsd = maxTokens === undefined ? undefined : costWith(maxTokens);
    return {
      provider,
      ...(model === undefined ? {} : { model }),
      promptTokens,
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(costUsd === undefined ? {} : { costUsd }),
      ...(maxCostUsd === undefined ? {} : { maxCostUsd }),
    };
  }

  async #history(sessionId: string | undefined) {
    if (sessionId === undefined) return {};
    const store = await this.#deps.store();
    const [session, history] = await Promise.all([store.getSession(sessionId), store.history(sessionId, undefined)]);
    return { session, history };
  }
}
