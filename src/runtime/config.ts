/**
 * The configuration: defaults, file, environment, flags and `config.set`, each over the one before.
 * Loading this module loads the schemas; a start that has neither a file nor variables to read does
 * without it until the first request.
 */
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Config, cwdKeys, pathKeys, startOnlyKeys } from "../contract/config.ts";
import { defaults, PROTOCOL_VERSION } from "../contract/defaults.ts";
import { fail, type WireError } from "../errors.ts";
import { isSecretKey, MASK, redact, registerSecret } from "../redact.ts";
import { VERSION } from "../version.ts";
import { readEnvironment, variableOf } from "./config/environment.ts";
import { readConfigFile } from "./config/file.ts";
import { amend, isLayer, type Layer, mapValues, overlay, valueAt, withValue } from "./config/layers.ts";
import { check, type Problem, unknownKey } from "./config/schema.ts";
import { ConfigError, type ConfigSource } from "./config/source.ts";
import { defaultStoragePath } from "./config/storage-path.ts";

export { ConfigError, type ConfigSource };

/** Told after a change was taken. Must not throw. */
export type ConfigListener = (current: Config, previous: Config) => void;

/**
 * Gathers what holds at start. Throws a `ConfigError` when the file cannot be read, or a value in it
 * or in a `STEERABLE_*` variable does not fit.
 */
export async function loadConfig(source: ConfigSource): Promise<ConfigService> {
  let layer: Layer = {};
  const warnings: string[] = [];
  if (source.flags.config !== undefined) {
    const file = await readConfigFile(source.flags.config, source);
    const result = check(file.layer);
    if ("problem" in result) throw file.errorAt(result.problem.path, result.problem.reason);
    layer = absolutePaths(file.layer, file.folder);
    warnings.push(...file.warnings);
  }

  const environment = readEnvironment(source.env);
  warnings.push(...environment.warnings);
  const { logLevel, storagePath } = source.flags;
  for (const above of [environment.layer, { logLevel, storagePath }]) layer = overlay(layer, absolutePaths(above, source.cwd));
  const result = check(layer);
  // The file was right by itself and flags were checked when they were parsed, so what is wrong now came from a variable.
  if ("problem" in result) throw new ConfigError(`the variable ${variableOf(result.problem.path)} has a bad value: ${result.problem.reason}`);
  registerSecrets(layer);
  return new ConfigService(source, { config: result.config, layer, warnings });
}

/** The configuration in force. */
export class ConfigService {
  /** What `main.ts` should log as warnings once it can: names of variables and keys, never values. */
  readonly warnings: readonly string[];
  readonly #source: ConfigSource;
  /** What held at start, without defaults. */
  readonly #start: Layer;
  readonly #listeners = new Set<ConfigListener>();
  /** What `set` said since. */
  #later: Layer = {};
  #current: Config;

  constructor(source: ConfigSource, start: Start) {
    this.#source = source;
    this.#start = start.layer;
    this.#current = start.config;
    this.warnings = start.warnings;
  }

  /** Complete, and replaced as a whole by `set`. */
  get current(): Config {
    return this.#current;
  }

  /** The database file, absolute, or `:memory:`. Throws `storage` when none is named and the user has no home. */
  storagePath(): string {
    return this.#current.storagePath ?? defaultStoragePath(this.#source);
  }

  /** What `config.get` shows: everything in force, built-in defaults included, secrets masked. */
  effective(): Record<string, unknown> {
    const { providers, ...rest } = this.#current;
    const shown = {
      ...rest,
      storagePath: this.#storagePathIfAny(),
      providers: {
        ...providers,
        openai: { ...providers.openai, baseUrl: providers.openai.baseUrl ?? defaults.baseUrl.openai },
        anthropic: { ...providers.anthropic, baseUrl: providers.anthropic.baseUrl ?? defaults.baseUrl.anthropic },
      },
    };
    const masked = redact(shown);
    const { providerAliases } = this.#source;
    return {
      version: VERSION,
      protocolVersion: PROTOCOL_VERSION,
      ...(isLayer(masked) ? mapValues(masked, (value) => value) : {}),
      ...(providerAliases === undefined ? {} : { providerAliases: structuredClone(providerAliases) }),
    };
  }

  /**
   * Takes all of `partial`, or none of it: throws `invalid_params` and `data {path, reason,
   * nearest?}`. `null` takes back what an earlier call set. What `effective` shows can be sent back:
   * masked secrets and read-only keys are passed over.
   */
  set(partial: Layer): void {
    const named = without(ownCopy(partial), readOnlyKeys);
    const unknown = unknownKey(named);
    if (unknown !== undefined) throw refused(unknown);

    const change = absolutePaths(this.#withoutShown(named), this.#source.cwd);
    const fixed = this.#changeOfFixedKey(change);
    if (fixed !== undefined) throw refused({ path: fixed, reason: "can only be set at start" });
    const changeable = without(change, startOnlyKeys);

    const later = amend(this.#later, changeable);
    const result = check(overlay(this.#start, later));
    if ("problem" in result) throw refused(result.problem);
    registerSecrets(later);
    const previous = this.#current;
    this.#later = later;
    this.#current = result.config;
    for (const listener of this.#listeners) listener(this.#current, previous);
  }

  /** Calls `listener` after each change. Returns what ends that. */
  onChange(listener: ConfigListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #storagePathIfAny(): string | undefined {
    try {
      return this.storagePath();
    } catch {
      return undefined;
    }
  }

  /** The change without secrets that came back masked. */
  #withoutShown(change: Layer): Layer {
    const shown = this.effective();
    return mapValues(change, (value, at) => {
      if (typeof value !== "string" || !value.includes(MASK)) return value;
      return (value === MASK && isSecretKey(at.at(-1) ?? "")) || value === valueAt(shown, at) ? undefined : value;
    });
  }

  /** The path of a start-only key that the change would give another value. */
  #changeOfFixedKey(change: Layer): readonly string[] | undefined {
    const inForce = { ...this.#current, storagePath: this.#storagePathIfAny() };
    const shown = this.effective();
    const isAsItIs = (value: unknown, at: readonly string[]) => [inForce, shown].some((layer) => isDeepStrictEqual(value, valueAt(layer, at)));
    let differing: readonly string[] | undefined;
    for (const key of startOnlyKeys) {
      const value = change[key];
      if (value !== undefined && !isLayer(value) && value !== null && !isAsItIs(value, [key])) return [key];
      mapValues(isLayer(value) ? value : {}, (item, at) => {
        if (item !== null && !isAsItIs(item, [key, ...at])) differing ??= [key, ...at];
        return item;
      });
    }
    return differing;
  }
}

/** Keys that `effective` shows beside the configuration. */
const readOnlyKeys = ["version", "protocolVersion", "providerAliases"];

/** What the sources say at start. */
interface Start {
  config: Config;
  /** Without defaults, for `config.set` to build on. */
  layer: Layer;
  warnings: readonly string[];
}

function absolutePaths(layer: Layer, base: string): Layer {
  let out = layer;
  for (const key of pathKeys) {
    const at = key.split(".");
    const value = valueAt(layer, at);
    if (typeof value === "string") out = withValue(out, at, absolutePath(value, base));
    if (Array.isArray(value))
      out = withValue(
        out,
        at,
        value.map((item: unknown) => (typeof item === "string" ? absolutePath(item, base) : item)),
      );
  }
  for (const key of cwdKeys) {
    const at = key.split(".");
    const entries = valueAt(layer, at);
    const withCwd = (entry: unknown): unknown => {
      if (!isLayer(entry)) return entry;
      const { cwd } = entry;
      return cwd === undefined || typeof cwd === "string" ? { ...entry, cwd: cwd === "" ? cwd : absolutePath(cwd ?? ".", base) } : entry;
    };
    if (Array.isArray(entries)) out = withValue(out, at, entries.map(withCwd));
    else if (isLayer(entries)) out = withValue(out, at, Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, withCwd(entry)])));
  }
  return out;
}

/** Empty stays empty, for the schema to refuse: resolved it would be the folder itself. */
function absolutePath(value: string, base: string): string {
  return value === "" || value === ":memory:" ? value : path.resolve(base, value);
}

function registerSecrets(layer: Layer): void {
  mapValues(layer, (value, at) => {
    if (typeof value === "string" && isSecretKey(at.at(-1) ?? "")) registerSecret(value, { forGood: true });
    return value;
  });
}

/** A copy that its sender cannot change any more. */
function ownCopy(partial: Layer): Layer {
  if (!isLayer(partial)) throw refused({ path: [], reason: "expected an object" });
  try {
    return structuredClone(partial);
  } catch {
    throw refused({ path: [], reason: "expected values of JSON only" });
  }
}

function without(layer: Layer, keys: readonly string[]): Layer {
  return Object.fromEntries(Object.entries(layer).filter(([key]) => !keys.includes(key)));
}

function refused({ path: at, reason, nearest }: Problem): WireError {
  const key = at.join(".");
  return fail("invalid_params", { path: key, reason, ...(nearest === undefined ? {} : { nearest }) }, key === "" ? reason : `${key}: ${reason}`);
}
