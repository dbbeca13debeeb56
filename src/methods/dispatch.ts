import * as z from "zod";
import { type MethodName, methods, type Params, type Result } from "../contract/index.ts";
import { fail } from "../errors.ts";
import type { Call } from "../rpc/request.ts";
import { KeyedQueue } from "../runtime/queue.ts";

/** What a handler knows of its caller. */
export interface CallContext extends Pick<Call, "signal" | "afterReply"> {
  /** Lets calls with the same key go on, for a handler whose answer takes longer than what has to be in order. */
  letGo(): void;
}

/** One function for every method of the contract: a missing one, or a wrong result type, does not compile. */
export type Handlers = { readonly [M in MethodName]: (params: Params<M>, call: CallContext) => Result<M> | Promise<Result<M>> };

/** Most problems named in one error. */
const MOST_ISSUES = 8;

/** Turns calls into handler calls: finds the method, validates the params, keeps calls with one key in order. */
export function createDispatch(handlers: Handlers): (call: Call) => unknown {
  const queue = new KeyedQueue();
  const compiled = new Map<string, z.ZodType>();

  return (call) => {
    if (!Object.hasOwn(methods, call.method)) throw fail("method_not_found", { method: call.method.slice(0, 256) });
    const name = call.method as MethodName;
    const entry: (typeof methods)[MethodName] = methods[name];
    let schema = compiled.get(name);
    if (schema === undefined) {
      schema = z.compile(entry.params as z.ZodType);
      compiled.set(name, schema);
    }
    const parsed = schema.safeParse(call.params);
    if (!parsed.success) throw invalidParams(parsed.error);
    // The map above pairs each name with its own params, which TypeScript cannot follow through a variable.
    const handle = handlers[name] as (params: unknown, context: CallContext) => unknown;
    const keyOf = "concurrency" in entry ? (entry.concurrency?.key as ((params: unknown) => string | undefined) | undefined) : undefined;
    const key = keyOf?.(parsed.data);
    return key === undefined ? handle(parsed.data, contextOf(call, nothing)) : inOrder(queue, key, call, (context) => handle(parsed.data, context));
  };
}

/** Runs `handle` when those before it with the same key are done, or have let go. */
function inOrder(queue: KeyedQueue, key: string, call: Call, handle: (context: CallContext) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const turn = () =>
      new Promise<void>((done) => {
        const run = async () => {
          // Whoever cancelled while it waited was told that it did not happen.
          if (call.signal.aborted) throw fail("cancelled");
          return handle(contextOf(call, done));
        };
        run().then(resolve, reject).finally(done);
      });
    void queue.run(key, turn);
  });
}

/** The properties of a call stand on its prototype, so it cannot be spread. */
function contextOf(call: Call, letGo: () => void): CallContext {
  return {
    get signal() {
      return call.signal;
    },
    afterReply: (run) => call.afterReply(run),
    letGo,
  };
}

function nothing(): void {
  // Nobody waits behind a call without a key.
}

function invalidParams(error: z.ZodError) {
  const issues = error.issues.slice(0, MOST_ISSUES).map((issue) => ({ path: pathText(issue.path), message: issue.message }));
  const first = issues[0];
  const message = first === undefined ? "The params do not fit the method" : `${first.path === "" ? "params" : first.path}: ${first.message}`;
  return fail("invalid_params", { issues }, message);
}

/** `messages[0].role` */
function pathText(path: readonly PropertyKey[]): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`)).join("");
}
