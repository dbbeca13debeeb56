/** Shapes that several methods share. Facts of the seed are kept field by field: strict readers exist. */
import * as z from "zod";
import { failureTable, type FailureKind } from "../errors.ts";

export const Id = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\w.:@/-]+$/, "use letters, digits and . _ : @ / - only")
  .describe("1 to 128 letters, digits and `. _ : @ / -`.");
export const JsonObject = z.record(z.string(), z.unknown());
/** A method that needs nothing: absent, null and any object are all fine. */
export const NoParams = z.object({}).nullish().describe("Nothing; absent, `null` or any object.");

export const ToolCall = z
  .object({
    id: z.string().describe("As the model gave it, or `call_…`."),
    name: z.string().describe("Of the tool."),
    arguments: JsonObject.describe("Parsed. `{}` when the model sent text that is not a JSON object; `argumentsText` then holds it."),
    argumentsText: z.string().optional().describe("Only present when the model's arguments were not a JSON object: the raw text."),
  })
  .describe("One complete call; fragments are assembled before they are sent.");
export type ToolCall = z.output<typeof ToolCall>;

export const ProviderData = JsonObject.describe(
  "What the provider must get back with an assistant message, unchanged: the signed thinking of Anthropic, for example. Opaque to hosts.",
);
export type ProviderData = z.output<typeof ProviderData>;

export const ContentPart = z.union([
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({
    type: z.literal("image_url"),
    image_url: z.object({ url: z.string().describe("`https:` address or `data:` URL."), detail: z.string().optional() }),
  }),
]);
export type ContentPart = z.output<typeof ContentPart>;

export const ChatMessage = z
  .object({
    role: z.enum(["system", "user", "assistant", "tool"]).describe("Who speaks; `tool` brings the result of a call."),
    content: z
      .union([z.string(), z.array(ContentPart)])
      .nullish()
      .transform((content) => content ?? "")
      .describe("Text, or parts (text and images). May be left out beside `toolCalls`."),
    name: z.string().optional().describe("Of the speaker, for servers that tell several apart."),
    toolCalls: z.array(ToolCall).optional().describe("Assistant messages: the calls that the model asked for."),
    providerData: ProviderData.optional().describe("Assistant messages: as a chunk brought it."),
    toolCallId: z.string().optional().describe("The call that this answers. Tool messages need it."),
  })
  .refine((message) => message.role !== "tool" || message.toolCallId !== undefined, {
    path: ["toolCallId"],
    message: "a tool message needs the toolCallId that it answers",
  });
export type ChatMessage = z.output<typeof ChatMessage>;

export const ToolDescriptor = z
  .object({
    type: z.literal("function"),
    function: z.object({
      name: z.string().min(1),
      description: z.string().optional().describe("For the model: what the tool does."),
      parameters: JsonObject.optional().describe("JSON Schema of the arguments."),
    }),
  })
  .describe("An OpenAI function descriptor.");
export type ToolDescriptor = z.output<typeof ToolDescriptor>;

export const Usage = z
  .object({
    promptTokens: z.int().min(0).describe("What was sent to the model."),
    completionTokens: z.int().min(0).describe("What the model said, reasoning included."),
    totalTokens: z.int().min(0),
  })
  .describe("Tokens as the model server counted them.");
export type Usage = z.output<typeof Usage>;

/** What one scope may use; a limit that is left out does not hold. */
export const Budget = z
  .strictObject({
    maxTokens: z.int().min(0).optional().describe("Prompt and answer tokens of all model calls together."),
    maxSteps: z.int().min(0).optional().describe("Model calls."),
    maxToolCalls: z.int().min(0).optional().describe("Calls of tools that the sidecar runs."),
    maxCostUsd: z.number().min(0).optional().describe("US dollars. Needs a price for the model: built in, or from `prices` of the configuration."),
    maxWallMs: z.int().min(0).max(2_147_483_647).optional().describe("Milliseconds from the beginning of a turn to its end, summed up over turns."),
  })
  .describe("Limits. One is exhausted when more than it would be used: what is exactly used up is fine.");
export type Budget = z.output<typeof Budget>;

export const Spending = z
  .object({
    tokens: z.int().min(0),
    steps: z.int().min(0),
    toolCalls: z.int().min(0),
    costUsd: z.number().min(0),
    wallMs: z.int().min(0),
  })
  .describe("What was used so far; of a model call that is running, what was reserved for it.");
export type Spending = z.output<typeof Spending>;

export const ToolMode = z
  .enum(["read", "safe_write", "destructive", "other"])
  .describe("What a tool may do: only look, change something that can be put right again, destroy something, or nobody knows.");
export type ToolMode = z.output<typeof ToolMode>;

const failureKinds = Object.keys(failureTable) as [FailureKind, ...FailureKind[]];
export const FailureKindSchema = z.enum(failureKinds).describe("Why a stream failed; the table of kinds says what each means.");

export const AgentSession = z
  .object({
    sessionId: z.string(),
    userId: z.string().describe("Whose session it is."),
    projectId: z.string().optional().describe("The host's own."),
    chatId: z.string().describe("The host's chat thread."),
    currentStage: z.string().describe("Where the host's work stands."),
    nextStage: z.string().optional().describe("The host's own."),
    scenario: z.string().describe("What the session is for."),
    stageData: JsonObject.optional().describe("The host's own state; stored as given."),
    alias: z.string().optional().describe("What people call it."),
    provider: z.string().optional().describe("Asked by turns of the session that name none."),
    model: z.string().optional().describe("The same for the model."),
    baseUrl: z.string().optional().describe("The same for the address of the model server."),
    isActive: z.boolean().describe("False once the session was closed."),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime().describe("When the session was last changed, or a turn of it began or ended."),
  })
  .describe("A session. Absent fields are left out, never null.");
export type AgentSession = z.output<typeof AgentSession>;

export const TurnStatus = z.enum(["running", "completed", "cancelled", "error", "interrupted"]);
export type TurnStatus = z.output<typeof TurnStatus>;

export const StoredMessage = z
  .object({
    messageId: z.string().describe("Unique in the store."),
    turnId: z.string().describe("The turn that the message belongs to; the streamId, unless the host chose that itself."),
    turnStatus: TurnStatus.describe("`interrupted`: the process died or was stopped before the turn had ended."),
    role: z.enum(["system", "user", "assistant", "tool"]),
    content: z.union([z.string(), z.array(ContentPart)]),
    name: z.string().optional(),
    reasoning: z.string().optional().describe("What the model said before its answer."),
    toolCalls: z.array(ToolCall).optional(),
    toolCallId: z.string().optional(),
    result: z
      .lazy(() => ToolResult)
      .optional()
      .describe("Tool messages of turns with an `idempotencyKey`: the whole result, of which `content` is what the model was given."),
    providerData: ProviderData.optional(),
    partial: z.boolean().describe("True where the text stops before the model was done."),
    outcomeUnknown: z
      .boolean()
      .optional()
      .describe(
        "Tool messages: true when the call was cut off while it was running, by a cancel or the end of the process. It may or may not have had its effect, and was not repeated.",
      ),
    createdAt: z.iso.datetime(),
  })
  .describe("A message as the store keeps it.");
export type StoredMessage = z.output<typeof StoredMessage>;

export const HarnessTrace = z
  .object({
    traceId: z.string(),
    userId: z.string().optional(),
    chatId: z.string().optional(),
    sessionId: z.string().optional(),
    assistantMessageId: z.string().optional().describe("The `messageId` of the answer."),
    status: z.enum(["running", "completed", "error", "cancelled", "budget_exhausted"]),
    durationMs: z.int().min(0).optional().describe("Absent while it is running."),
    hadError: z.boolean(),
    errorMessage: z.string().max(2048).optional().describe("Redacted."),
    eventCount: z.int().min(0),
    spanCount: z.int().min(0),
    totalTokens: z.int().min(0).optional(),
    modelId: z.string().optional().describe("The model that was asked."),
    startedAtMs: z.int().describe("Milliseconds since the epoch."),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .describe("One turn, or one tool invoked by the host.");
export type HarnessTrace = z.output<typeof HarnessTrace>;

export const TraceSpan = z.object({
  spanId: z.string(),
  traceId: z.string(),
  parentSpanId: z.string().optional().describe("The span that this one is part of."),
  name: z.string().describe("`llm.generate`, `tool.<name>`, …"),
  kind: z.enum(["llm", "tool", "policy", "budget", "retry", "completion", "transport", "storage", "custom"]),
  startMs: z.int().describe("Milliseconds since the epoch."),
  endMs: z.int().optional().describe("Absent while it is running."),
  durationMs: z.int().min(0).optional(),
  status: z.enum(["ok", "error", "timeout", "cancelled", "running"]),
  attrs: JsonObject.describe("Redacted."),
});
export type TraceSpan = z.output<typeof TraceSpan>;

export const TraceEvent = z.object({
  traceId: z.string(),
  kind: z.enum(["lifecycle", "policy", "budget", "retry", "tool_call", "tool_result", "llm_request", "llm_response", "completion", "error", "log", "custom"]),
  name: z.string().describe("`turn.start`, `llm.request`, `llm.retry`, …"),
  sequence: z.int().min(0).describe("Rises by one within a trace."),
  timestampMs: z.int().describe("Milliseconds since the epoch."),
  durationMs: z.int().min(0).optional(),
  status: z.enum(["ok", "warning", "error"]).optional(),
  payload: JsonObject.optional().describe("Redacted."),
});
export type TraceEvent = z.output<typeof TraceEvent>;

export const ToolFailureKind = z
  .enum(["policy_denied", "timeout", "cancelled", "invalid_params", "repeated_call", "unavailable", "outcome_unknown", "tool_failed"])
  .describe(
    "Why it failed, for programs. `unavailable`: whoever runs the tool (host, MCP server, program) cannot be reached; `repeated_call`: the same call was made too often in this turn.",
  );
export type ToolFailureKind = z.output<typeof ToolFailureKind>;

export const ToolResult = z
  .looseObject({
    success: z.boolean().describe("Whether the tool did what it was asked for."),
    terminal: z.boolean().optional().describe("True when the tool says that nothing more is to be done: a turn ends with it."),
    needsFollowup: z.boolean().optional().describe("True when the tool itself failed and the caller should react."),
    message: z.string().optional().describe("The tool's own words."),
    error: z.string().optional().describe("Why it failed, for people and models."),
    kind: ToolFailureKind.optional(),
    outcomeUnknown: z.boolean().optional().describe("True when nobody can tell whether the call had its effect; it was not repeated."),
    data: z
      .looseObject({ durationMs: z.int().min(0).optional() })
      .optional()
      .describe("What the tool returned (`value` where it is not an object), and `durationMs`."),
  })
  .describe("What a tool came to.");
export type ToolResult = z.output<typeof ToolResult>;

export const Cursor = z.string().max(256).describe("Opaque: `nextCursor` of the page before.");

export const IdempotencyKey = z
  .string()
  .min(1)
  .max(256)
  .describe("Makes a repetition harmless: the same key with the same params gives what the first call came to, also after a crash. Kept for a day.");
