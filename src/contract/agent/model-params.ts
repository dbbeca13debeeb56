import * as z from "zod";
import { JsonObject } from "../model.ts";

/** Which model is asked, and how: what every method that calls one takes. */
export const ModelParams = z.object({
  provider: z
    .string()
    .min(1)
    .max(64)
    .describe("`openai` (also `openai_compat`, `openai-compatible`, `ollama`), `anthropic` (also `claude`), `echo` or `scripted`."),
  model: z.string().max(256).optional().describe("Needed unless the provider has one in the configuration; `echo` and `scripted` need none."),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of the model server, up to what the provider adds (`/chat/completions`, `/v1/messages`)."),
  apiKey: z
    .string()
    .max(8192)
    .optional()
    .describe(
      "Used for this call only; never stored or logged. Else the configuration's, else that of the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`).",
    ),
  temperature: z.number().optional().describe("Passed to the model server as it is."),
  maxTokens: z.int().min(1).optional().describe("Longest answer of one model call."),
  idleTimeoutMs: z
    .int()
    .min(1)
    .optional()
    .describe("Milliseconds of silence from the model server before the stream fails; the configuration's when left out."),
  providerOptions: JsonObject.optional().describe("Merged into the body of the request to the model server; `null` takes a key out of it."),
});
export type ModelParams = z.output<typeof ModelParams>;
