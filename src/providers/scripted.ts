import { readFile, stat } from "node:fs/promises";
import * as z from "zod";
import { FailureKindSchema } from "../contract/model.ts";
import type { Failure } from "../errors.ts";
import type { ModelEvent, ModelRequest, Provider, ProviderSettings } from "./provider.ts";

/**
 * Plays a JSON file, for the tests of those who embed the sidecar.
 *
 * The turn that is played is the number of assistant messages in the request, from 0, so it is the
 * same after a restart. Events between two delays come as one batch; a delay longer than the idle
 * timeout is the silence that it would be from a server.
 */
export const scripted: Provider = { name: "scripted", stream: play };

const count = z.int().min(0);

const Step = z.union(
  [
    z.strictObject({ delta: z.string() }),
    z.strictObject({ reasoningDelta: z.string() }),
    z.strictObject({
      toolCall: z.strictObject({
        id: z.string().min(1).optional(),
        name: z.string().min(1),
        arguments: z.record(z.string(), z.unknown()).default({}),
        argumentsText: z.string().optional(),
      }),
    }),
    z.strictObject({ usage: z.strictObject({ promptTokens: count, completionTokens: count, totalTokens: count.optional() }) }),
    z.strictObject({ delayMs: z.int().min(0).max(2_147_483_647) }),
    z.strictObject({
      error: z.strictObject({
        kind: FailureKindSchema,
        message: z.string(),
        status: z.int().optional(),
        retryAfterMs: count.optional(),
        retryable: z.boolean().optional(),
      }),
    }),
    z.strictObject({ finishReason: z.string().min(1) }),
  ],
  "expected one of delta, reasoningDelta, toolCall, usage, delayMs, error, finishReason, with a value of its kind",
);
type Step = z.output<typeof Step>;

const Turn = z
  .strictObject({ events: z.array(Step) })
  .refine(({ events }) => events.findIndex(isLast) === -1 || events.findIndex(isLast) === events.length - 1, {
    path: ["events"],
    message: "nothing may follow an error or a finishReason",
  });
const Script = z.strictObject({ turns: z.array(Turn) });

const LONGEST_FILE = 16 * 1024 * 1024;

async function* play(request: ModelRequest, settings: ProviderSettings, signal: AbortSignal): AsyncGenerator<readonly ModelEvent[], void, undefined> {
  const turn = request.messages.filter((message) => message.role === "assistant").length;
  const steps = await load(request, settings, turn);
  if (signal.aborted) return;
  if (typeof steps === "string") return yield [{ type: "failure", failure: { kind: "invalid_params", message: steps } }];

  let batch: ModelEvent[] = [];
  let calls = 0;
  let silentMs = 0;
  for (const step of steps) {
    if ("delayMs" in step) {
      if (batch.length > 0) yield batch;
      batch = [];
      const waitMs = Math.min(step.delayMs, settings.idleTimeoutMs - silentMs);
      await pause(waitMs, signal);
      if (signal.aborted) return;
      silentMs += step.delayMs;
      if (silentMs > settings.idleTimeoutMs)
        return yield [{ type: "failure", failure: { kind: "timeout", message: `The script was silent for longer than ${settings.idleTimeoutMs} ms` } }];
      continue;
    }
    silentMs = 0;
    batch.push(eventOf(step, `call_script_${turn}_${calls}`));
    if ("toolCall" in step) calls++;
  }
  if (!steps.some(isLast)) batch.push({ type: "finish", reason: calls > 0 ? "tool_calls" : "stop" });
  yield batch;
}

/** The steps of a turn, or what is wrong. The path stays out of the message. */
async function load(request: ModelRequest, settings: ProviderSettings, turn: number): Promise<Step[] | string> {
  const path = request.providerOptions?.["script"] ?? settings.script;
  if (typeof path !== "string" || path === "") return "The scripted provider needs a file: configure providers.scripted.script or pass providerOptions.script";
  let turns: Turns | string;
  try {
    const { size, mtimeNs } = await stat(path, { bigint: true });
    if (size > LONGEST_FILE) return `The script is larger than ${LONGEST_FILE} bytes`;
    const edition = `${path}\0${size}\0${mtimeNs}`;
    turns = newest?.edition === edition ? newest.turns : parse(await readFile(path, "utf8"));
    if (typeof turns !== "string") newest = { edition, turns };
  } catch (error) {
    return `The script cannot be read${error instanceof Error && "code" in error ? ` (${String(error.code)})` : ""}`;
  }
  if (typeof turns === "string") return turns;
  return turns[turn]?.events ?? `The script has ${turns.length} turns; turn ${turn} (counted from 0, one for each assistant message) is not among them`;
}

type Turns = z.output<typeof Script>["turns"];

/** The script that was read last: an agent's turn plays one many times over. */
let newest: { edition: string; turns: Turns } | undefined;

function parse(text: string): Turns | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "The script is not valid JSON";
  }
  const script = Script.safeParse(value);
  if (!script.success) {
    const [issue] = script.error.issues;
    return `The script is not valid at ${issue?.path.join(".") || "its top"}: ${issue?.message ?? "unknown"}`;
  }
  return script.data.turns;
}

function eventOf(step: Exclude<Step, { delayMs: number }>, callId: string): ModelEvent {
  if ("delta" in step) return { type: "text", text: step.delta };
  if ("reasoningDelta" in step) return { type: "reasoning", text: step.reasoningDelta };
  if ("toolCall" in step) return { type: "toolCall", call: { ...step.toolCall, id: step.toolCall.id ?? callId } };
  if ("finishReason" in step) return { type: "finish", reason: step.finishReason };
  if ("error" in step) return { type: "failure", failure: withoutUndefined(step.error) };
  const { promptTokens, completionTokens, totalTokens } = step.usage;
  return { type: "usage", usage: { promptTokens, completionTokens, totalTokens: totalTokens ?? promptTokens + completionTokens } };
}

function withoutUndefined({ kind, message, status, retryAfterMs, retryable }: Extract<Step, { error: unknown }>["error"]): Failure {
  return {
    kind,
    message,
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(retryable === undefined ? {} : { retryable }),
  };
}

function isLast(step: Step): boolean {
  return "error" in step || "finishReason" in step;
}

/** Ends early when the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
