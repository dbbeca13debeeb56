import type { ToolCall, ToolDescriptor } from "../../contract/model.ts";
import type { ModelRequest } from "../../providers/provider.ts";
import { answerMessage, type MessageBody, toChatMessage } from "../../store/messages.ts";
import { describe, type Tool } from "../../tools/tool.ts";
import type { RuntimeBase } from "../base.ts";
import { estimateTextTokens, estimateTokens } from "../budget/tokens.ts";
import type { Gate } from "../policy/gate.ts";
import type { ToolRegistry } from "../tools/registry.ts";
import { compactWhereNeeded } from "./compaction.ts";
import { Conversation } from "./conversation.ts";
import { STOPPED } from "./interruption.ts";
import { callModel, type ModelCallContext } from "./model-call.ts";
import { Repetition } from "./repetition.ts";
import type { Outcome, Run } from "./run.ts";
import { runToolStep } from "./tool-step.ts";

export interface LoopDependencies extends RuntimeBase {
  registry: ToolRegistry;
  gate: Gate;
}

/**
 * The story of one turn: the model is called, the calls that are ours are run, and it is called again
 * with their results, until it asks for nothing more, a limit is reached, or somebody stops it.
 * Rejects with what the store or the code itself could not do.
 */
export async function play(run: Run, deps: LoopDependencies): Promise<Outcome> {
  const { interruption, phases } = run;
  const patienceMs = deps.registry.patienceMs(run.useTools);
  if (patienceMs !== undefined) phases.enter("tool", patienceMs);
  const provider = await run.call.load();
  const selected = await interruption.race(deps.registry.select(run.useTools));
  if (selected === STOPPED) return run.outcomeOf(interruption.stop ?? "cancelled");
  const tools = new Map(selected.map((tool) => [tool.name, tool]));
  const history = run.sessionId === undefined ? undefined : await (await deps.store()).history(run.sessionId, run.turnId);
  const conversation = new Conversation(run.turnId, history, run.call.request.messages);
  const context: ModelCallContext = {
    call: run.call,
    provider,
    recorder: run.recorder,
    interruption,
    phases,
    random: deps.random,
    log: deps.log,
    meter: deps.meter,
    streamId: run.streamId,
  };
  const turn = { run, tools, conversation, context, repetition: new Repetition(), deps };
  for (;;) {
    const ended = (await ask(turn)) ?? (await act(turn));
    if (interruption.stop !== undefined) return run.outcomeOf(interruption.stop);
    if (ended !== undefined) return ended;
  }
}

/** The reason of a turn that ends with a tool's word that nothing more is to be done. */
const TERMINAL = "terminal";

interface Turn {
  run: Run;
  tools: ReadonlyMap<string, Tool>;
  conversation: Conversation;
  context: ModelCallContext;
  repetition: Repetition;
  deps: LoopDependencies;
}

/** One model call. Undefined when there is an answer, or the run was stopped. */
async function ask({ run, tools, conversation, context, deps }: Turn): Promise<Outcome | undefined> {
  const descriptors = descriptorsOf(run.call.request.tools, tools);
  const failedCompaction = await compactWhereNeeded(run, conversation, descriptors, context, deps);
  if (run.stop !== undefined) return undefined;
  if (failedCompaction !== undefined) return { status: "error", failure: failedCompaction };
  const messages = conversation.messages();
  const promptTokens = estimateTokens(messages, descriptors);
  const room = await run.account.reserveCall({ promptTokens, maxTokens: run.call.request.maxTokens }, run.interruption.signal);
  if (run.stop !== undefined || room === "aborted") return undefined;
  if ("failure" in room) return { status: "error", failure: room.failure };
  const request: ModelRequest = { ...run.call.request, messages, tools: descriptors, maxTokens: room.maxTokens };
  const failure = await callModel(request, { answer: run.answer, onEvent: (event) => run.hear(event), ready: () => run.sink.ready() }, context);
  const passed = run.account.settleCall(run.answer.usage, { promptTokens, completionTokens: estimateTextTokens(run.answer.length) });
  if (run.stop !== undefined) return undefined;
  // An answer that has come too far is told with its end, whatever becomes of the turn.
  if (failure !== undefined) return { status: "error", failure };
  if (passed !== undefined) run.tellUsage(run.answer.finishReason);
  return passed === undefined ? undefined : { status: "error", failure: passed };
}

/** What comes after an answer. Undefined when the model is to be called again, or the run was stopped. */
async function act({ run, tools, conversation, repetition, deps }: Turn): Promise<Outcome | undefined> {
  if (run.stop !== undefined) return undefined;
  repetition.nextStep();
  const { ours, theirs } = split(run, run.answer.toolCalls);
  const endsForHost = theirs.length > 0;
  if (endsForHost) {
    // Nothing may come between the host's calls and its answers: what was added goes in front of them, and no more is taken.
    addSteering(run, conversation);
    run.closeSteering();
  }
  if (ours.length === 0 && run.closeSteering()) {
    run.tellUsage(run.answer.finishReason);
    return { status: "completed" };
  }
  run.tellUsage(undefined);
  const { content, finishReason } = run.answer;
  if (content !== undefined) add(run, conversation, answerMessage(content));
  run.nextAnswer();
  let isFinal = endsForHost;
  if (ours.length > 0) {
    const step = await runToolStep(run, ours, tools, repetition, { gate: deps.gate, meter: deps.meter, settings: () => deps.config().tools });
    if (run.stop !== undefined) return undefined;
    if ("failure" in step) return { status: "error", failure: step.failure };
    conversation.add(...step.messages.map(toChatMessage));
    // Somebody who steers has more to say than the tool.
    isFinal ||= step.isFinal && run.closeSteering();
  }
  if (!isFinal) addSteering(run, conversation);
  run.journal.flush();
  if (!isFinal) return undefined;
  run.tellFinish(endsForHost ? finishReason : TERMINAL);
  return { status: "completed" };
}

function addSteering(run: Run, conversation: Conversation): void {
  for (const message of run.takeSteering()) add(run, conversation, message);
}

/** A message that is complete: kept, and sent with the next model call. */
function add(run: Run, conversation: Conversation, message: MessageBody): void {
  run.keep(message);
  conversation.add(toChatMessage(message));
}

/** A call is the host's when it has described the tool itself, or when we run no tools at all. */
function split(run: Run, calls: readonly ToolCall[]): { ours: ToolCall[]; theirs: ToolCall[] } {
  if (run.useTools.length === 0) return { ours: [], theirs: [...calls] };
  const described = new Set(run.call.request.tools?.map(({ function: { name } }) => name));
  return { ours: calls.filter(({ name }) => !described.has(name)), theirs: calls.filter(({ name }) => described.has(name)) };
}

function descriptorsOf(described: readonly ToolDescriptor[] | undefined, tools: ReadonlyMap<string, Tool>): readonly ToolDescriptor[] | undefined {
  const names = new Set(described?.map(({ function: { name } }) => name));
  const ours = [...tools.values()].filter(({ name }) => !names.has(name)).map(describe);
  return ours.length === 0 ? described : [...(described ?? []), ...ours];
}
