import * as z from "zod";
import { isSecretKey } from "../../redact.ts";
import { JsonObject } from "../model.ts";

/** Address of a model server as it is kept with a session, in the database: a secret has no place in it. */
export const KeptUrl = z
  .url({ protocol: /^https?$/ })
  .max(2048)
  .refine(holdsNoSecret, { message: "must hold no user name, password or key; agent.session.configure takes a key" });

/** Which model is asked, and how: what every method that calls one takes. */
export const ModelParams = z.object({
  provider: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "`openai` (also `openai_compat`, `openai-compatible`, `ollama`), `anthropic` (also `claude`), `echo` or `scripted`. When left out: that of the session, else that of `model` in the configuration.",
    ),
  model: z
    .string()
    .max(256)
    .optional()
    .describe(
      "Without a `provider` it may name one as well: `openai:gpt-4o`. Needed unless the session or the configuration has one; `echo` and `scripted` need none.",
    ),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of the model server, up to what the provider adds (`/chat/completions`, `/v1/messages`)."),
  apiKey: z
    .string()
    .max(8192)
    .optional()
    .describe(
      "Used for this call only; never stored or logged. Else that of the session, else the configuration's, else that of the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`).",
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

function holdsNoSecret(text: string): boolean {
  // What is no URL was refused for that.
  if (!URL.canParse(text)) return true;
  const { username, password, searchParams } = new URL(text);
  return username === "" && password === "" && ![...searchParams.keys()].some((name) => name.toLowerCase() === "key" || isSecretKey(name));
}
