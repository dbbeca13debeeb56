import type { ConfigService } from "../runtime/config.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `config.${string}`>;

export function configMethods(config: ConfigService): Pick<Handlers, Family> {
  return {
    "config.get": () => config.effective(),
    "config.set": (params) => {
      config.set(params);
      return null;
    },
  };
}
