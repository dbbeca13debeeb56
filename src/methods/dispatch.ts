import * as z from "zod";
import { type Caller, HOST, type Scope } from "../contract/caller.ts";
import type { MethodEntry } from "../contract/define.ts";
import { type MethodName, methods, type Params, type Result } from "../contract/index.ts";
import { type ErrorName, fail, WireError } from "../errors.ts";
import type { Call } from "../rpc/request.ts";
import type { Access, Touched } from "../runtime/access.ts";
import type { Door } from "../runtime/door.ts";
import { KeyedQueue } from "../runtime/queue.ts";

/** What a handler knows of its caller. */
export interface CallContext extends Pick<Call, "signal" | "afterReply"> {
  door: Door;
  /** Lets calls with the same key go on, for a handler whose answer takes longer than what has to be in order. */
  letGo(): void;
}

/** One function for every method of the contract: a missing one, or a wrong result type, does not compile. */
export type Handlers = { readonly [M in MethodName]: (params: Params<M>, call: CallContext) => Result<M> | Promise<Result<M>> };

/** Most problems named in one error. */
const MOST_ISSUES = 8;

/** Turns calls into handler calls: finds the method, asks whether the caller may, validates the params, keeps calls with one key in order. */
export function createDispatch(handlers: Handlers, access: Pick<Access, "check">): (call: Call, door: Door) => unknown {
  const queue = new KeyedQueue();
  const known = new Map<string, Prepared>();

  return (call, door) => {
    if (!Object.hasOwn(methods, call.method)) throw fail("method_not_found", { method: call.method.slice(0, 256) });
    const name = call.method as MethodName;
    let method = known.get(name);
    if (method === undefined) {
      method = prepare(name, handlers);
      known.set(name, method);
    }
    refuseOutOfScope(door.caller, method.scope);
    const parsed = method.schema.safeParse(call.params);
    if (!parsed.success) throw invalidParams(parsed.error);
    const params: unknown = parsed.data;
    const key = method.keyOf(params);
    const answer = (letGo: () => void) => {
      const handle = () => method.handle(params, contextOf(call, door, letGo));
      const check = access.check(door.caller, method.touchedBy(params));
      return check === undefined ? handle() : whenAllowed(check, method, call, handle);
    };
    // Whose something is may change while a call waits for those before it, so it is looked at when they are done.
    return key === undefined ? answer(nothing) : inOrder(queue, key, call, answer);
  };
}

/** A method as it is called: the contract pairs each with its own params, which TypeScript cannot follow through a name. */
interface Prepared {
  scope: Scope | "host";
  schema: z.ZodType;
  touchedBy(params: unknown): Touched;
  keyOf(params: unknown): string | undefined;
  handle(params: unknown, context: CallContext): unknown;
  /** Whether it answers null, without an error, where this is missing. */
  passesOver(missing: ErrorName): boolean;
}

function prepare(name: MethodName, handlers: Handlers): Prepared {
  const { scope, params, result, errors, touches = {}, concurrency } = methods[name] as unknown as MethodEntry;
  const answersNull = result.safeParse(null).success;
  return {
    scope,
    schema: z.compile(params),
    touchedBy: (given) => ({ session: touches.session?.(given), stream: touches.stream?.(given), trace: touches.trace?.(given) }),
    keyOf: (given) => concurrency?.key(given),
    handle: handlers[name] as Prepared["handle"],
    passesOver: (missing) => answersNull && !errors.includes(missing),
  };
}

/** Throws `forbidden` where the caller lacks what the method needs. Dispatching asks this as well. */
export function admit(caller: Caller, name: MethodName): void {
  refuseOutOfScope(caller, methods[name].scope);
}

function refuseOutOfScope(caller: Caller, scope: Scope | "host"): void {
  const mayAsk = scope === "host" ? caller === HOST : caller.scopes.has(scope);
  if (!mayAsk) throw fail("forbidden", { scope });
}

/** What is somebody else's is answered like what does not exist. */
async function whenAllowed(check: Promise<void>, method: Prepared, call: Call, handle: () => unknown): Promise<unknown> {
  try {
    await check;
  } catch (error) {
    if (error instanceof WireError && isMissing(error.errorName) && method.passesOver(error.errorName)) return null;
    throw error;
  }
  // Whoever cancelled meanwhile was told that it did not happen.
  if (call.signal.aborted) throw fail("cancelled");
  return handle();
}

function isMissing(name: ErrorName): boolean {
  return name === "session_not_found" || name === "stream_not_found" || name === "trace_not_found";
}

/** Runs `answer` when those before it with the same key are done, or have let go. */
function inOrder(queue: KeyedQueue, key: string, call: Call, answer: (letGo: () => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const turn = () =>
      new Promise<void>((done) => {
        const run = async () => {
          // Whoever cancelled while it waited was told that it did not happen.
          if (call.signal.aborted) throw fail("cancelled");
          return answer(done);
        };
        run().then(resolve, reject).finally(done);
      });
    void queue.run(key, turn);
  });
}

/** The properties of a call stand on its prototype, so it cannot be spread. */
function contextOf(call: Call, door: Door, letGo: () => void): CallContext {
  return {
    get signal() {
      return call.signal;
    },
    door,
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
