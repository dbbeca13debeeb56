import * as z from "zod";

/** `openai:gpt-4o`; the part behind the first colon may hold more of them. */
export const ModelId = z
  .string()
  .max(320)
  .regex(/^[^:\s]+(:\S+)?$/, "use provider:name")
  .describe("`provider:name`, as `openai:gpt-4o`; address and key come from the configuration.");

/** The two halves of an id. A name without a colon is that of a model whose provider is said elsewhere. */
export function splitModelId(id: string | undefined): { provider?: string; model?: string } {
  if (id === undefined) return {};
  const colon = id.indexOf(":");
  return colon === -1 ? { model: id } : { provider: id.slice(0, colon), model: id.slice(colon + 1) };
}

export function modelIdOf({ provider, model }: { provider?: string | undefined; model?: string | undefined }): string | null {
  if (provider === undefined) return model ?? null;
  return model === undefined ? provider : `${provider}:${model}`;
}
