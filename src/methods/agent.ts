import type { Budgets } from "../runtime/budget/budgets.ts";
import type { Runs } from "../runtime/turns/runs.ts";
import type { Sessions } from "../runtime/sessions.ts";
import type { Compression } from "../runtime/turns/compression.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `agent.${string}`>;

export interface AgentParts {
  sessions: Sessions;
  runs: Runs;
  compression: Compression;
  budgets: Budgets;
}

/** `release` lets the notifications of a stream go, once its reply was written. */
export function agentMethods(parts: AgentParts, release: (streamId: string) => void): Pick<Handlers, Family> {
  const { sessions, runs, compression, budgets } = parts;
  return {
    "agent.session.create": (params) => sessions.create(params),
    "agent.session.resume": ({ sessionId }) => sessions.resume(sessionId),
    "agent.session.list": (params) => sessions.list(params),
    "agent.session.get": (params) => sessions.get(params),
    "agent.session.close": ({ sessionId }) => sessions.close(sessionId),
    "agent.session.delete": ({ sessionId }) => sessions.delete(sessionId),
    "agent.session.fork": (params) => sessions.fork(params),
    "agent.session.compress": (params, call) => {
      // It waits for the turns before it; turns after it wait for it in the same queue.
      const done = compression.compress(params, call.signal);
      call.letGo();
      return done;
    },
    "agent.budget.get": ({ sessionId }) => budgets.state(sessionId),
    "agent.budget.reset": async ({ sessionId }) => {
      await budgets.reset(sessionId);
      return null;
    },
    "agent.chat.stream": async (params, call) => {
      const { streamId } = await runs.start(params, call.signal);
      call.afterReply(() => release(streamId));
      return { streamId };
    },
    "agent.chat.complete": (params, call) => runs.complete(params, call.signal, call.letGo),
    "agent.chat.steer": ({ streamId, content }) => {
      runs.steer(streamId, content);
      return null;
    },
    "agent.chat.cancel": ({ streamId }) => {
      // Best effort, as the seed says: the terminal tells when the stream has ended.
      void runs.cancel(streamId);
      return null;
    },
  };
}
