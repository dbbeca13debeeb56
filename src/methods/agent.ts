import { isAdmin } from "../contract/caller.ts";
import { fail } from "../errors.ts";
import type { Budgets } from "../runtime/budget/budgets.ts";
import type { Runs } from "../runtime/turns/runs.ts";
import type { Estimates } from "../runtime/estimate.ts";
import type { Models } from "../runtime/models.ts";
import type { SessionModels } from "../runtime/session-models.ts";
import type { Sessions } from "../runtime/sessions.ts";
import type { Compression } from "../runtime/turns/compression.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `agent.${string}`>;

export interface AgentParts {
  sessions: Sessions;
  runs: Runs;
  compression: Compression;
  budgets: Budgets;
  models: Models;
  sessionModels: SessionModels;
  estimates: Estimates;
}

export function agentMethods(parts: AgentParts): Pick<Handlers, Family> {
  const { sessions, runs, compression, budgets, models, sessionModels, estimates } = parts;
  return {
    "agent.session.create": (params, { door }) => sessions.create(params, door.caller),
    "agent.session.resume": ({ sessionId }) => sessions.resume(sessionId),
    "agent.session.list": (params, { door }) => sessions.list(params, door.caller),
    "agent.session.get": (params) => sessions.get(params),
    "agent.session.close": ({ sessionId }) => sessions.close(sessionId),
    "agent.session.delete": ({ sessionId }) => sessions.delete(sessionId),
    "agent.session.fork": (params, { door }) => sessions.fork(params, door.caller),
    "agent.session.compress": (params, call) => {
      // It waits for the turns before it; turns after it wait for it in the same queue.
      const done = compression.compress(params, call.signal, call.door.caller);
      call.letGo();
      return done;
    },
    "agent.session.configure": (params) => sessionModels.configure(params),
    // Turns that come later must not be emptied away, so they are kept waiting.
    "agent.session.empty": ({ sessionId }, call) => sessions.empty(sessionId, call.signal),
    "agent.budget.get": ({ sessionId }) => budgets.state(sessionId),
    "agent.budget.reset": async ({ sessionId }, { door }) => {
      // What everybody shares in is not one caller's to reset.
      if (sessionId === undefined && !isAdmin(door.caller)) throw fail("forbidden", { scope: "admin" });
      await budgets.reset(sessionId);
      return null;
    },
    "agent.chat.stream": async (params, call) => {
      const { streamId } = await runs.start(params, call.signal, call.door);
      call.afterReply(() => call.door.release(streamId));
      return { streamId };
    },
    "agent.chat.complete": (params, call) => runs.complete(params, call.signal, call.door, call.letGo),
    "agent.chat.steer": ({ streamId, content }) => {
      runs.steer(streamId, content);
      return null;
    },
    "agent.chat.cancel": ({ streamId }) => {
      // Best effort, as the seed says: the terminal tells when the stream has ended.
      void runs.cancel(streamId);
      return null;
    },
    "agent.chat.estimate": (params) => estimates.estimate(params),
    "agent.model.list": () => ({ models: models.list() }),
  };
}
