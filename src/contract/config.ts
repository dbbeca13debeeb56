import * as z from "zod";
import { defaults, LOG_LEVELS, PROTOCOL_VERSION } from "./defaults.ts";
import { method } from "./define.ts";
import { JsonObject, NoParams } from "./model.ts";

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
  retry: Retry.prefault({}),
});

const Scripted = z.strictObject({
  script: z.string().optional().describe("Path of the JSON file to play."),
});

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
        .array(z.enum(["read_file", "list_directory", "get_time"]))
        .default([])
        .describe("Built-in tools to switch on."),
      roots: z.array(z.string().min(1)).default([]).describe("Folders that file tools may see."),
      timeoutMs: milliseconds.default(defaults.tools.timeoutMs).describe("Deadline of one call."),
    })
    .prefault({}),
  trace: z
    .strictObject({
      events: z.boolean().default(defaults.trace.events).describe("Send `trace.event` notifications."),
      keep: positive.default(defaults.trace.keep).describe("Newest traces kept; older ones are deleted at start."),
    })
    .prefault({}),
});
export type Config = z.output<typeof Config>;

/** Keys that are read once, at start. */
export const startOnlyKeys = ["storagePath", "limits"] as const;

/** Keys that hold a path or a list of paths: relative to the file when they stand in one, else to the working directory. */
export const pathKeys = ["storagePath", "tools.roots", "providers.scripted.script"] as const;

export const get = method({
  name: "config.get",
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
  summary:
    "Changes part of the configuration for this run. All of it is taken or, when a value is bad, none of it. `null` takes an earlier `config.set` of that key back; a masked secret leaves the secret as it is.",
  params: JsonObject,
  result: z.null(),
  errors: [],
  concurrency: { description: "one at a time", key: () => "config" },
  example: { params: { logLevel: "DEBUG", trace: { events: true } }, result: null },
});
