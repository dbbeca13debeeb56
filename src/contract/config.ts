import * as z from "zod";
import { SCOPES } from "./caller.ts";
import { defaults, LOG_LEVELS, PROTOCOL_VERSION } from "./defaults.ts";
import { method } from "./define.ts";
import { Budget, JsonObject, NoParams, ToolMode } from "./model.ts";

const positive = z.int().min(1);
const milliseconds = z.int().min(1).max(2_147_483_647);

const Retry = z.strictObject({
  attempts: z.int().min(1).max(10).default(defaults.provider.retry.attempts).describe("Tries in all, the first included."),
  baseMs: milliseconds.default(defaults.provider.retry.baseMs),
  maxMs: milliseconds.default(defaults.provider.retry.maxMs),
});

const Provider = z.strictObject({
  apiKey: z.string().optional().describe("Secret. `{{NAME}}` in a file stands for the environment variable NAME."),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  model: z.string().optional().describe("Used where a call names none."),
  idleTimeoutMs: milliseconds
    .default(defaults.provider.idleTimeoutMs)
    .describe("Milliseconds of silence from the model server before the turn fails; comments and pings do not count as a sign of life."),
  connectTimeoutMs: milliseconds.default(defaults.provider.connectTimeoutMs),
  answerTimeoutMs: milliseconds.default(defaults.provider.answerTimeoutMs).describe("Milliseconds that one answer may take from its first token to its end."),
  retry: Retry.prefault({}),
});

const Scripted = z.strictObject({
  script: z.string().optional().describe("Path of the JSON file to play."),
});

const ProcessTool = z.strictObject({
  name: z
    .string()
    .regex(/^[\w-]{1,64}$/, "use 1 to 64 letters, digits, _ and -")
    .describe("Unique among all tools."),
  description: z.string().default("").describe("For the model: what the tool does."),
  parameters: JsonObject.default({ type: "object" }).describe("JSON Schema of the arguments."),
  mode: ToolMode.optional().describe("Derived from the name when left out."),
  command: z.array(z.string()).min(1).describe("The program and its arguments; no shell is involved. The call's arguments come as JSON on its stdin."),
  cwd: z.string().min(1).optional().describe("Working directory; the folder of the file when left out."),
  timeoutMs: milliseconds.optional().describe("Deadline of one call; `tools.timeoutMs` when left out."),
  env: z
    .array(z.string())
    .default(["PATH", "HOME"])
    .describe("Names of the environment variables that it may see; nothing else of the sidecar's environment reaches it."),
});
export type ProcessTool = z.output<typeof ProcessTool>;

const strings = z.record(z.string(), z.string());

const McpServer = z
  .strictObject({
    type: z.enum(["stdio", "http", "sse"]).optional().describe("`stdio` where there is a `command`, else `http`."),
    command: z.string().min(1).optional().describe("The program of a stdio server."),
    args: z.array(z.string()).default([]).describe("Its arguments."),
    env: strings.default({}).describe("Added to the few variables that a program needs to run (`PATH`, `HOME` and the like)."),
    cwd: z.string().min(1).optional().describe("Working directory; the folder of the file when left out."),
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe("Address of an `http` or `sse` server."),
    headers: strings.default({}).describe("Sent with every request to an `http` or `sse` server."),
    timeoutMs: milliseconds.optional().describe("Deadline of one call, progress messages or not; `tools.timeoutMs` when left out."),
    startTimeoutMs: milliseconds.default(30_000).describe("Deadline of starting the server and asking it for its tools."),
  })
  .refine((server) => (server.command === undefined) !== (server.url === undefined), { message: "needs either a command or a url" })
  .refine((server) => server.type === undefined || (server.type === "stdio") === (server.command !== undefined), {
    path: ["type"],
    message: "does not go with the command or url",
  });
export type McpServer = z.output<typeof McpServer>;

const Decision = z.enum(["allow", "ask", "deny"]);

const Price = z.strictObject({
  inputPerMTok: z.number().min(0).describe("US dollars for a million prompt tokens."),
  outputPerMTok: z.number().min(0).describe("US dollars for a million answer tokens."),
});
export type Price = z.output<typeof Price>;

/** The configuration file, what `config.get` shows and what `config.set` takes parts of. */
export const Config = z.strictObject({
  logLevel: z.enum(LOG_LEVELS).default(defaults.logLevel),
  gracePeriodSeconds: z.number().min(0).max(600).default(defaults.gracePeriodSeconds).describe("How long a shutdown waits for requests in flight."),
  storagePath: z.string().min(1).optional().describe("Database file, or `:memory:`. Only at start."),
  limits: z
    .strictObject({
      frameBytes: positive
        .max(512 * 1024 * 1024)
        .default(defaults.limits.frameBytes)
        .describe("Longest line accepted, in bytes."),
      depth: positive.max(10_000).default(defaults.limits.depth).describe("Deepest nesting accepted, the frame itself counted."),
      inFlight: positive.max(1_000_000).default(defaults.limits.inFlight),
      streams: positive.max(1_000_000).default(defaults.limits.streams).describe("Streams open at a time."),
      outboundBytes: positive.min(65_536).default(defaults.limits.outboundBytes),
    })
    .prefault({})
    .describe("Only at start."),
  providers: z
    .strictObject({
      openai: Provider.prefault({}),
      anthropic: Provider.prefault({}),
      scripted: Scripted.prefault({}),
    })
    .prefault({}),
  tools: z
    .strictObject({
      builtin: z
        .array(z.enum(["read_file", "list_directory", "get_time", "write_file", "edit_file", "search_files", "run_command", "fetch_url"]))
        .default([])
        .describe("Built-in tools to switch on."),
      roots: z.array(z.string().min(1)).default([]).describe("Folders that file tools may see; the first is where `run_command` starts."),
      timeoutMs: milliseconds.default(defaults.tools.timeoutMs).describe("Deadline of one call, where the tool has none of its own."),
      parallel: positive.max(256).default(defaults.tools.parallel).describe("Calls of one step that run side by side, when all only read."),
      process: z
        .array(ProcessTool)
        .default([])
        .refine((tools) => new Set(tools.map(({ name }) => name)).size === tools.length, { message: "two tools have one name" })
        .describe("Programs that are tools."),
      fetch: z
        .strictObject({
          allowPrivate: z.boolean().default(false).describe("Let `fetch_url` reach addresses that are not public: this machine, the local network."),
        })
        .prefault({}),
    })
    .prefault({}),
  mcpServers: z
    .record(z.string().regex(/^[\w-]{1,64}$/, "use 1 to 64 letters, digits, _ and -"), McpServer)
    .default({})
    .describe("MCP servers, by name. Their tools are named `mcp__<server>__<tool>`."),
  policy: z
    .strictObject({
      modes: z
        .strictObject({
          read: Decision.default(defaults.policy.modes.read),
          safe_write: Decision.default(defaults.policy.modes.safe_write),
          destructive: Decision.default(defaults.policy.modes.destructive),
          other: Decision.default(defaults.policy.modes.other),
        })
        .prefault({})
        .describe("What happens when a model calls a tool of this mode."),
      tools: z
        .record(z.string(), Decision)
        .default({})
        .describe(
          "The same for single tools, by name or, ending in `*`, for all that begin so. Goes before `modes`, but a dangerous command is still asked about.",
        ),
      approvalTimeoutMs: milliseconds.default(defaults.policy.approvalTimeoutMs).describe("How long the host may take to answer `approval.request`."),
    })
    .prefault({}),
  budgets: z
    .strictObject({
      turn: Budget.extend({ maxSteps: z.int().min(0).default(defaults.budgets.turn.maxSteps).describe("Model calls.") })
        .prefault({})
        .describe("Of each turn that does not say otherwise."),
      session: Budget.default({}).describe("Of all turns of a session together."),
      process: Budget.default({}).describe("Of all turns together, those of earlier runs on the same database included."),
    })
    .prefault({}),
  prices: z.record(z.string(), Price).default({}).describe("Prices of models, by name; they go before the built-in ones."),
  compaction: z
    .strictObject({
      auto: z.boolean().default(defaults.compaction.auto).describe("Summarize the older part of a session when it grows too long for the model."),
      share: z.number().min(0.1).max(0.95).default(defaults.compaction.share).describe("Of the model's window: beyond it the history is summarized."),
      keepTurns: z.int().min(0).max(1000).default(defaults.compaction.keepTurns).describe("Turns at the end that stay as they are."),
      windows: z.record(z.string(), positive).default({}).describe("Windows of models in tokens, by name; they go before the built-in ones."),
    })
    .prefault({}),
  model: z
    .string()
    .regex(/^[^:\s]+:\S+$/, "use provider:name")
    .max(320)
    .optional()
    .describe("What turns ask that name no provider, and whose session has none: `provider:name`, as `openai:gpt-4o`."),
  allowedBaseUrls: z
    .array(z.url({ protocol: /^https?$/ }))
    .default([])
    .describe("Model servers that callers without `admin` (over HTTP) may name as `baseUrl`, beside those that are configured. Their origins count."),
  api: z
    .strictObject({
      enabled: z.boolean().default(false).describe("Open the HTTP listener; the flag `--http` does so too."),
      listen_addr: z.string().min(1).optional().describe("`host:port`, or a port on the loopback. Port 0 takes a free one."),
      auth: z
        .strictObject({
          mode: z
            .enum(["StaticKeys", "Disabled"])
            .default("StaticKeys")
            .describe("`Disabled` lets everybody in. With `StaticKeys` and neither keys nor a token, one is made up for each run."),
          keys: z
            .array(
              z.strictObject({
                subject: z
                  .string()
                  .regex(/^[\w.@:-]{1,128}$/, "use 1 to 128 letters, digits and . _ @ : -")
                  .describe("Whose key it is. What is made with it belongs to this name."),
                key_hash: z
                  .string()
                  .regex(/^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+$/, "use what steerable-sidecar hash-key prints")
                  .describe("As `steerable-sidecar hash-key` prints it."),
                scopes: z
                  .array(z.enum([...SCOPES, "*"]))
                  .min(1)
                  .describe("`read`, `write`, `admin`; `*` for all."),
              }),
            )
            .max(1000)
            .default([]),
        })
        .prefault({}),
      public: z
        .array(z.enum(["status", "metrics"]))
        .default([])
        .describe("What needs no key, beside `/health`, `/ready` and the documentation."),
      allowed_hosts: z
        .array(z.string().min(1))
        .default([])
        .describe("Names that requests may be addressed to, beside the loopback and the address that is listened on."),
      cors: z
        .strictObject({
          allowed_origins: z.array(z.string().min(1)).default([]).describe("Origins of pages that may ask, as `https://app.example`. Empty: none."),
          allow_credentials: z.boolean().default(false),
        })
        .prefault({}),
      limits: z
        .strictObject({
          max_body_bytes: positive
            .max(512 * 1024 * 1024)
            .default(defaults.api.max_body_bytes)
            .describe("Longest body of a request."),
          max_concurrent_requests: positive
            .max(100_000)
            .default(defaults.api.max_concurrent_requests)
            .describe("Requests at a time; a stream counts until it has ended."),
          rate_limit_per_minute: z
            .int()
            .min(0)
            .nullable()
            .default(defaults.api.rate_limit_per_minute)
            .describe("Requests of one subject, or of one address where there is none, in any minute. `null` and 0: no limit."),
          dispatch_limit_per_minute: z.int().min(1).optional().describe("The same for `/sessions/{id}/dispatch`; a quarter of it when left out."),
          max_sessions: positive.max(1_000_000).default(defaults.api.max_sessions).describe("Sessions made by `POST /sessions` that are open at a time."),
        })
        .prefault({}),
      request_timeout_seconds: z
        .number()
        .min(0.1)
        .max(86_400)
        .default(defaults.api.request_timeout_seconds)
        .describe("How long one request may take, its stream included."),
      head_timeout_seconds: z
        .number()
        .min(0.1)
        .max(86_400)
        .default(defaults.api.head_timeout_seconds)
        .describe("How long the head of a request may take to arrive."),
      receive_timeout_seconds: z
        .number()
        .min(0.1)
        .max(86_400)
        .default(defaults.api.receive_timeout_seconds)
        .describe("How long all of a request may take to arrive, its head included."),
      keep_alive_seconds: z
        .number()
        .min(0.1)
        .max(86_400)
        .default(defaults.api.keep_alive_seconds)
        .describe("How long a connection without a request is kept. Behind a proxy that keeps connections: longer than the proxy does."),
      shutdown_grace_seconds: z
        .number()
        .min(0)
        .max(3600)
        .default(defaults.api.shutdown_grace_seconds)
        .describe("How long SIGTERM waits for what runs, where there is a listener."),
    })
    .prefault({})
    .describe("The HTTP listener. Only at start."),
  trace: z
    .strictObject({
      events: z.boolean().default(defaults.trace.events).describe("Send `trace.event` notifications."),
      keep: positive.default(defaults.trace.keep).describe("Newest traces kept; older ones are deleted at start."),
    })
    .prefault({}),
});
export type Config = z.output<typeof Config>;

/** Keys that are read once, at start. */
export const startOnlyKeys = ["storagePath", "limits", "api"] as const;

/** Keys that hold a path or a list of paths: relative to the file when they stand in one, else to the working directory. */
export const pathKeys = ["storagePath", "tools.roots", "providers.scripted.script"] as const;

/** Lists or maps of entries whose `cwd` is such a path, and that folder itself when it is left out. */
export const cwdKeys = ["tools.process", "mcpServers"] as const;

export const get = method({
  name: "config.get",
  scope: "admin",
  summary: "The effective configuration: defaults, file, environment, flags and `config.set`, in that order. Secrets are masked.",
  params: NoParams,
  result: JsonObject,
  errors: [],
  example: {
    result: {
      version: "0.1.0",
      protocolVersion: PROTOCOL_VERSION,
      logLevel: "INFO",
      gracePeriodSeconds: 5,
      providers: { openai: { apiKey: "********", idleTimeoutMs: 120000 } },
    },
  },
});

export const set = method({
  name: "config.set",
  scope: "admin",
  summary:
    "Changes part of the configuration for this run. All of it is taken or, when a value is bad, none of it. `null` takes an earlier `config.set` of that key back; a masked secret leaves the secret as it is.",
  params: JsonObject,
  result: z.null(),
  errors: [],
  concurrency: { description: "one at a time", key: () => "config" },
  example: { params: { logLevel: "DEBUG", trace: { events: true } }, result: null },
});
