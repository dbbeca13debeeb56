import type { Runs } from "../runtime/runs.ts";
import type { Sessions } from "../runtime/sessions.ts";
import type { CallContext, Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `agent.${string}`>;

/** `release` lets the notifications of a stream go, once its reply was written. */
export function agentMethods(sessions: Sessions, runs: Runs, release: (streamId: string) => void): Pick<Handlers, Family> {
  return {
    "agent.session.create": (params) => sessions.create(params),
    "agent.session.resume": ({ sessionId }) => sessions.resume(sessionId),
    "agent.session.list": (params) => sessions.list(params),
    "agent.session.get": (params) => sessions.get(params),
    "agent.session.close": ({ sessionId }) => sessions.close(sessionId),
    "agent.session.delete": ({ sessionId }) => sessions.delete(sessionId),
    "agent.chat.stream": async (params, call) => {
      const reply = await runs.start(params, call.signal);
      watch(call, reply.streamId);
      return reply;
    },
    "agent.chat.cancel": ({ streamId }) => {
      // Best effort, as the seed says: the terminal tells when the stream has ended.
      void runs.cancel(streamId);
      return null;
    },
  };

  function watch(call: CallContext, streamId: string): void {
    call.afterReply(() => release(streamId));
    // Whoever cancelled the request does not know the id, so nobody could stop this stream later.
    if (call.signal.aborted) void runs.cancel(streamId);
  }
}
