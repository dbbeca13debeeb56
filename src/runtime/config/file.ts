import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Document } from "yaml";
import { isSecretKey, redactText, registerSecret } from "../../redact.ts";
import { isLayer, type Layer, mapValues } from "./layers.ts";
import { type Leaf, leaves, readText } from "./schema.ts";
import { ConfigError, oneLine } from "./source.ts";

/** A configuration file as it was read. */
export interface ConfigFile {
  layer: Layer;
  /** Absolute; relative paths in the file start here. */
  folder: string;
  warnings: string[];
  /** A `ConfigError` that says where in the file the key stands. */
  errorAt(path: readonly string[], reason: string): ConfigError;
}

/**
 * Reads a YAML file. `{{NAME}}` in its values stands for the environment variable NAME; a key that
 * needs one that is not set is left out, with a warning. Everything that is wrong is a `ConfigError`
 * with line and column.
 */
export async function readConfigFile(file: string, source: { cwd: string; env: Readonly<Record<string, string | undefined>> }): Promise<ConfigFile> {
  const absolute = path.resolve(source.cwd, file);
  const text = await readText8(absolute, file);
  const { LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, uniqueKeys: true, logLevel: "error" });
  const errorOn = (offset: number, reason: string): ConfigError => {
    const { line, col } = lines.linePos(offset);
    return new ConfigError(`${named(file)}: line ${Math.max(1, line)}, column ${Math.max(1, col)}: ${redactText(oneLine(reason)).slice(0, 400)}`);
  };
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw errorOn(fault.pos[0], faultInWords(fault));

  const value = plainValue(document, file);
  if (!isLayer(value)) throw errorOn(startOf(document), "expected keys with values (a mapping)");
  const errorAt = (at: readonly string[], reason: string): ConfigError => errorOn(positionOf(document, at), `${at.join(".")}: ${reason}`);
  const warnings: string[] = [];
  const fill = (): Layer => mapValues(value, (item, at) => filledIn(item, { at, env: source.env, warnings, errorAt }));
  const layer = withoutCycle(fill, () => errorOn(startOf(document), "a value holds itself (an alias inside its own anchor)"));
  return { layer, folder: path.dirname(absolute), warnings, errorAt };
}

/** Nobody writes a configuration this long; something else was named by mistake. */
const MOST_BYTES = 4 * 1024 * 1024;
/** An alias may repeat a value, but not so often that a small file fills the memory. */
const MOST_ALIASES = 100;

/** An alias inside its own anchor makes a value without end. */
function withoutCycle<T>(walk: () => T, complaint: () => ConfigError): T {
  try {
    return walk();
  } catch (error) {
    throw error instanceof RangeError ? complaint() : error;
  }
}

async function readText8(absolute: string, file: string): Promise<string> {
  const bytes = await readBytes(absolute, file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${named(file)}: not a text in UTF-8`);
  }
}

async function readBytes(absolute: string, file: string): Promise<Uint8Array> {
  try {
    const found = await stat(absolute);
    // A pipe or a device may never end.
    if (!found.isFile()) throw new ConfigError(`${named(file)}: not a file`);
    if (found.size > MOST_BYTES) throw new ConfigError(`${named(file)}: longer than ${MOST_BYTES} bytes`);
    return await readFile(absolute);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${named(file)}: cannot be read (${codeOf(error)})`);
  }
}

function named(file: string): string {
  return `configuration file ${oneLine(file)}`;
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "permission denied" : typeof code === "string" ? code : "unreadable";
}

/** The parser's words, less what it quotes from the file: that may be a secret. */
function faultInWords(fault: { code: string; message: string }): string {
  if (fault.code === "TAG_RESOLVE_FAILED") return "tags (!name) are not supported";
  return fault.message.replace(/: ".*$/s, "").replace(/(extra characters): .*$/s, "$1");
}

function plainValue(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES }) ?? {};
  } catch (error) {
    // The message would name the alias, which in `key: *value` is somebody's unquoted value.
    const excessive = error instanceof ReferenceError && error.message.startsWith("Excessive");
    throw new ConfigError(`${named(file)}: ${excessive ? "too many aliases (*name)" : "an alias (*name) has no anchor (&name) before it"}`);
  }
}

interface Filling {
  at: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  warnings: string[];
  errorAt: ConfigFile["errorAt"];
}

/** A value with its placeholders replaced; undefined leaves the key out. An empty value (`key:`) says nothing either. */
function filledIn(value: unknown, filling: Filling): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value))
    return value.map((item, index) => filledIn(item, { ...filling, at: [...filling.at, String(index)] })).filter((item) => item !== undefined);
  if (isLayer(value)) return mapValues(value, (item, at) => filledIn(item, { ...filling, at }), filling.at);
  if (typeof value !== "string") return value;

  let missing: string | undefined;
  const text = value.replace(/\{\{\s*([A-Za-z_]\w*)\s*\}\}/g, (_, name: string) => {
    const replacement = filling.env[name];
    if (replacement === undefined || replacement === "") {
      missing ??= name;
      return "";
    }
    if (isSecretKey(name)) registerSecret(replacement, { forGood: true });
    return replacement;
  });
  if (missing !== undefined) {
    filling.warnings.push(`${filling.at.join(".")} is left out: the variable ${missing} is not set`);
    return undefined;
  }
  const leaf = text === value ? undefined : leafAt(filling.at);
  if (leaf === undefined) return text;
  // A variable holds text; where the key wants a number or a switch, it is read as one.
  const read = readText(leaf, text);
  if ("reason" in read) throw filling.errorAt(filling.at, read.reason);
  return read.value;
}

function leafAt(at: readonly string[]): Leaf | undefined {
  return leaves.find((leaf) => leaf.path.join(".") === at.join("."));
}

interface YamlNode {
  range?: readonly number[] | null;
  value?: unknown;
  items?: readonly unknown[];
  key?: unknown;
}

function startOf(document: Document.Parsed): number {
  return document.contents?.range?.[0] ?? 0;
}

/** The offset of the key at the end of a path, or of the deepest one on the way that the file has. */
function positionOf(document: Document.Parsed, at: readonly string[]): number {
  let offset = startOf(document);
  let node: unknown = document.contents;
  for (const step of at) {
    const items = isNode(node) ? (node.items ?? []) : [];
    const pair = items.find((item) => isNode(item) && isNode(item.key) && item.key.value === step);
    const next: unknown = isNode(pair) ? pair.value : items[Number(step)];
    const marked: unknown = isNode(pair) ? pair.key : next;
    if (!isNode(marked)) break;
    offset = marked.range?.[0] ?? offset;
    node = next;
  }
  return offset;
}

function isNode(value: unknown): value is YamlNode {
  return typeof value === "object" && value !== null;
}
