import * as z from "zod";
import { hostRequest, method } from "./define.ts";
import { IdempotencyKey, JsonObject, NoParams, ToolDescriptor, ToolMode, ToolResult } from "./model.ts";

export const list = method({
  name: "tool.list",
  scope: "read",
  summary: "The tools that the sidecar can run, as OpenAI function descriptors.",
  params: NoParams,
  result: z.array(ToolDescriptor),
  errors: [],
  example: {
    result: [
      {
        type: "function",
        function: {
          name: "get_time",
          description: "The current time.",
          parameters: { type: "object", properties: { timeZone: { type: "string" } }, additionalProperties: false },
        },
      },
    ],
  },
});

export const invoke = method({
  name: "tool.invoke",
  scope: "write",
  summary:
    "Runs a tool. A tool that is unknown, is given arguments that do not fit its schema, or fails, is a result with `success` false. A destructive call without `consentGranted`, or one that the policy denies, is refused with -32002 and `data {tool, mode, reason}`. (The policy's `ask` is for calls of models: here the host has asked itself. To callers without `admin`, what would be asked about is refused as well.)",
  params: z.object({
    name: z.string().min(1).max(256).describe("From `tool.list`."),
    arguments: JsonObject.nullish()
      .transform((value) => value ?? {})
      .describe("What the tool's `parameters` ask for; `{}` when left out."),
    id: z.string().max(256).optional().describe("Names the call in its trace; made up (`call_…`) when left out."),
    consentGranted: z.boolean().optional().describe("True when a person agreed to this very call; destructive tools need it."),
    idempotencyKey: IdempotencyKey.optional(),
    context: JsonObject.nullish().describe("Where the call comes from; `sessionId` in it is noted in the trace, the rest is ignored."),
  }),
  result: ToolResult,
  errors: ["policy_denied", "storage"],
  example: {
    params: { name: "get_time", arguments: { timeZone: "UTC" } },
    result: { success: true, data: { iso: "2026-01-01T10:00:00.000Z", durationMs: 1, traceId: "tr_9b1deb4d3b" } },
  },
});

export const register = method({
  name: "tool.register",
  scope: "host",
  summary:
    "Offers tools of the host to the sidecar: they are listed and used like its own, and run by a request `tool.invoke` from the sidecar to the host. A tool of that name that was registered before is replaced; a name of another tool is refused. Registered tools last as long as the process.",
  params: z.object({
    tools: z
      .array(
        ToolDescriptor.extend({
          mode: ToolMode.optional().describe("Derived from the name when left out."),
          timeoutMs: z.int().min(1).max(2_147_483_647).optional().describe("Deadline of one call; `tools.timeoutMs` of the configuration when left out."),
        }),
      )
      .min(1)
      .max(1024),
  }),
  result: z.object({ registered: z.array(z.string()).describe("All tools of the host, by name.") }),
  errors: [],
  example: {
    params: {
      tools: [{ type: "function", function: { name: "get_selection", description: "The text that the user has selected.", parameters: { type: "object" } } }],
    },
    result: { registered: ["get_selection"] },
  },
});

export const unregister = method({
  name: "tool.unregister",
  scope: "host",
  summary: "Takes tools of the host back. Calls that are running go on.",
  params: z
    .object({ names: z.array(z.string()).optional().describe("All of them when left out; names that were not registered are passed over.") })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.object({ registered: z.array(z.string()).describe("The tools of the host that are left.") }),
  errors: [],
  example: { params: { names: ["get_selection"] }, result: { registered: [] } },
});

export const Grant = z.object({
  tool: z.string(),
  call: z.string().optional().describe("Only calls with exactly these arguments, as JSON; absent: all that are not rated dangerous."),
  createdAt: z.iso.datetime(),
});
export type Grant = z.output<typeof Grant>;

export const grants = method({
  name: "tool.grants",
  scope: "admin",
  summary: "What was allowed for good: the `allow_always` answers to `approval.request`. They outlive the process.",
  params: NoParams,
  result: z.array(Grant),
  errors: ["storage"],
  example: { result: [{ tool: "get_weather", createdAt: "2026-01-01T10:00:00.000Z" }] },
});

export const revoke = method({
  name: "tool.revoke",
  scope: "admin",
  summary: "Takes back what was allowed with `allow_always` or `allow_session`: of one tool, or all of it.",
  params: z
    .object({ tool: z.string().optional().describe("All of them when left out.") })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.null(),
  errors: ["storage"],
  example: { params: { tool: "get_weather" }, result: null },
});

/** `tool.invoke` in the other direction. */
export const invokeOnHost = hostRequest({
  name: "tool.invoke",
  summary:
    "Runs a tool that the host has registered. Answer with any JSON value: an object with a boolean `success` is taken as a ToolResult, anything else as its `data`. An error answer becomes a failed result that the model is told. After `timeoutMs`, or when the turn is cancelled, the sidecar sends `$/cancelRequest` with the id and does not wait any longer; a later answer is dropped.",
  params: z.object({
    id: z.string().describe("Of the call."),
    name: z.string().describe("Of the tool."),
    arguments: JsonObject.describe("They fit the tool's `parameters`."),
    timeoutMs: z.int().min(1).describe("Milliseconds that the sidecar waits for the answer."),
    streamId: z.string().optional().describe("The turn that the call belongs to."),
    sessionId: z.string().optional(),
  }),
  result: z.unknown(),
  example: {
    params: { id: "call_1", name: "get_selection", arguments: {}, timeoutMs: 60_000, streamId: "str_4f90d13a42" },
    result: { text: "Hello" },
  },
});

export const approvalRequest = hostRequest({
  name: "approval.request",
  summary:
    "Asks whether a call may be run. Sent only to hosts that announced `approvals` in `system.initialize`. No answer within `timeoutMs`, an error, or anything but a known decision: denied.",
  params: z.object({
    streamId: z.string(),
    sessionId: z.string().optional(),
    call: z.object({ id: z.string(), name: z.string(), arguments: JsonObject }),
    mode: ToolMode.describe("Of this very call: a command that was found to be dangerous is `destructive`."),
    reason: z.string().describe("Why it is asked, for people: the rule of the policy, or what is dangerous about the command."),
    timeoutMs: z.int().min(1).describe("Milliseconds that the sidecar waits for the answer."),
  }),
  result: z.object({
    decision: z
      .enum(["allow", "allow_session", "allow_always", "deny"])
      .describe(
        "`allow`: this call; `allow_session`: also later calls of this tool in this session (outside a session: in this turn); `allow_always`: in every session, also after a restart. Of a `destructive` call the last two cover only calls with exactly the same arguments.",
      ),
    reason: z
      .string()
      .transform((reason) => reason.slice(0, 2048))
      .optional()
      .describe("Told to the model when the call is denied; the first 2048 characters."),
  }),
  example: {
    params: {
      streamId: "str_4f90d13a42",
      call: { id: "call_1", name: "run_command", arguments: { command: "rm -rf build" } },
      mode: "destructive",
      reason: "deletes folders with everything in them: rm -rf build",
      timeoutMs: 60_000,
    },
    result: { decision: "allow" },
  },
});
