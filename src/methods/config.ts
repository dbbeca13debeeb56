import type { ConfigService } from "../runtime/config.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `config.${string}`>;

/** `applied` resolves when the last change has taken effect everywhere. */
export function configMethods(config: ConfigService, applied: () => Promise<void>): Pick<Handlers, Family> {
  return {
    "config.get": () => config.effective(),
    "config.set": async (params) => {
      config.set(params);
      await applied();
      return null;
    },
  };
}
