/** What is measured, as the runtime sees it. Who reads the figures, and in which form, is not its business. */
import type { Usage } from "../contract/model.ts";
import { WireError } from "../errors.ts";

/** Called once, when it is over: with `ok`, or the name of what went wrong. */
export type Ended = (outcome: string) => void;

/** `model`: undefined where the provider needs none. */
export interface AskedModel {
  provider: string;
  model: string | undefined;
}

/** Nothing here throws. What begins something gives undefined where nobody measures, so that it costs next to nothing. */
export interface Meter {
  /** A request has begun. `method`: one of the catalog, or `unknown`. */
  request(method: string): Ended | undefined;
  /** A request over HTTP was answered. `route`: verb and path as declared, as `GET /v1/sessions/{id}`. */
  httpRequest(route: string, status: number, seconds: number): void;
  /** A model is asked; what is given back is called when its answer begins, and never where it does not. */
  firstToken(asked: AskedModel): (() => void) | undefined;
  /** What one model call took, as the model server has counted it. */
  tokens(asked: AskedModel, usage: Pick<Usage, "promptTokens" | "completionTokens">): void;
  /** A tool begins to run. */
  toolCall(tool: string): Ended | undefined;
  /** A call that was not let run: `unknown` where there is no such tool. */
  toolRefused(tool: string, outcome: string): void;
  /** The store is asked for something: the name of its function. */
  storeOperation(operation: string): Ended | undefined;
}

/** What is looked up when somebody reads. A rejection, or taking too long, leaves the figure out. */
export interface Levels {
  /** Turns that have begun and not ended, whether they are told as a stream or as a whole. */
  liveStreams(): number;
  /** Turns and summaries that wait for those before them in their session. */
  waitingTurns(): number;
  activeSessions(): Promise<number>;
}

export const silent: Meter = {
  request: () => undefined,
  httpRequest: () => undefined,
  firstToken: () => undefined,
  tokens: () => undefined,
  toolCall: () => undefined,
  toolRefused: () => undefined,
  storeOperation: () => undefined,
};

/** Hands everything on to the meter that is connected, maybe long after the parts that measure were made; until then it is silent. */
export class LateMeter implements Meter {
  #meter = silent;

  connect(meter: Meter): void {
    this.#meter = meter;
  }

  request(method: string): Ended | undefined {
    return this.#meter.request(method);
  }

  httpRequest(route: string, status: number, seconds: number): void {
    this.#meter.httpRequest(route, status, seconds);
  }

  firstToken(asked: AskedModel): (() => void) | undefined {
    return this.#meter.firstToken(asked);
  }

  tokens(asked: AskedModel, usage: Pick<Usage, "promptTokens" | "completionTokens">): void {
    this.#meter.tokens(asked, usage);
  }

  toolCall(tool: string): Ended | undefined {
    return this.#meter.toolCall(tool);
  }

  toolRefused(tool: string, outcome: string): void {
    this.#meter.toolRefused(tool, outcome);
  }

  storeOperation(operation: string): Ended | undefined {
    return this.#meter.storeOperation(operation);
  }
}

/** Calls `ended` when `work` has settled. `work` itself is given back, so nobody waits longer for being measured. */
export function measured<T>(work: T, ended: Ended): T {
  if (work instanceof Promise)
    work.then(
      () => ended("ok"),
      (error: unknown) => ended(outcomeOf(error)),
    );
  else ended("ok");
  return work;
}

/** How something ended that has thrown. */
export function outcomeOf(error: unknown): string {
  return error instanceof WireError ? error.errorName : "internal";
}
