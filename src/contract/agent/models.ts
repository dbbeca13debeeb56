import * as z from "zod";
import { method } from "../define.ts";
import { NoParams } from "../model.ts";

export const list = method({
  name: "agent.model.list",
  scope: "read",
  summary:
    "The models that the configuration names: `model`, and `providers.*.model`. No server is asked what else it has; a turn may name any model. `echo` and `scripted`, which need none, are listed where `model` names them.",
  params: NoParams,
  result: z.object({
    models: z
      .array(
        z.object({
          id: z.string().describe("`provider:name`: what `model` takes where no `provider` is given."),
          provider: z.string(),
          model: z.string(),
        }),
      )
      .describe("Sorted by `id`; each once."),
  }),
  errors: [],
  example: { result: { models: [{ id: "openai:gpt-4o-mini", provider: "openai", model: "gpt-4o-mini" }] } },
});
