import type { Flags } from "../../flags.ts";

/** Everything that the configuration is made of, as `main.ts` finds it. */
export interface ConfigSource {
  flags: Pick<Flags, "logLevel" | "storagePath" | "config">;
  env: Readonly<Record<string, string | undefined>>;
  /** What relative paths outside a file are relative to. */
  cwd: string;
  /** The running one when left out. */
  platform?: NodeJS.Platform;
  /** The user's home directory as the system knows it; it may throw where there is none. `os.homedir` when left out. */
  home?: () => string;
  /** Other names of providers, shown by `config.get`: `{ anthropic: ["claude"] }`. */
  providerAliases?: Readonly<Record<string, readonly string[]>>;
}

/** The process cannot start like this. The message is one line for stderr, without secrets; `main.ts` exits with 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Text from outside as it may stand in a one-line message. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
