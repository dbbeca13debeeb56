/** What the configuration schema knows about its keys. */
import * as z from "zod";
import { Config } from "../../contract/config.ts";
import { nearest } from "../../nearest.ts";
import type { Layer } from "./layers.ts";

/** A key that holds a single value. */
export interface Leaf {
  path: readonly string[];
  kind: "string" | "number" | "boolean" | "enum";
  /** Of an enum. */
  options: readonly string[];
}

export interface Problem {
  path: readonly string[];
  /** In words, without the value: it may be a secret. */
  reason: string;
  /** For an unknown key: the path of the one that was probably meant. */
  nearest?: string;
}

export const leaves: readonly Leaf[] = [...leavesOf(Config, [])];

/** The whole configuration that a layer over the defaults makes, or the first thing that is wrong with it. */
export function check(layer: Layer): { config: Config } | { problem: Problem } {
  const unknown = unknownKey(layer, Config, []);
  if (unknown !== undefined) return { problem: unknown };
  const parsed = Config.safeParse(layer);
  if (parsed.success) return { config: parsed.data };
  const issue = parsed.error.issues[0];
  return { problem: { path: issue?.path.map(String) ?? [], reason: issue === undefined ? "not a configuration" : reasonOf(issue) } };
}

/** The first key that the schema does not have. Before anything is merged, so that `__proto__` never is. */
export function unknownKey(value: unknown, schema: z.ZodType = Config, at: readonly string[] = []): Problem | undefined {
  const inner = unwrap(schema);
  if (Array.isArray(value)) {
    if (!(inner instanceof z.ZodArray)) return undefined;
    return firstOf(value.entries(), ([index, item]) => unknownKey(item, asType(inner.element), [...at, String(index)]));
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (inner instanceof z.ZodRecord) return firstOf(Object.entries(value), ([key, item]) => unknownKey(item, asType(inner.valueType), [...at, key]));
  if (!(inner instanceof z.ZodObject)) return undefined;
  const shape = shapeOf(inner);
  return firstOf(Object.entries(value), ([key, item]) => {
    const schemaOfKey = Object.hasOwn(shape, key) ? shape[key] : undefined;
    return schemaOfKey === undefined ? unknownAt([...at, key], Object.keys(shape)) : unknownKey(item, schemaOfKey, [...at, key]);
  });
}

/**
 * The value that a text stands for at a leaf, as variables hold it: numbers in decimal digits, `true`,
 * `false`, `1` or `0`, options in any case. A reason when it stands for none.
 */
export function readText(leaf: Leaf, text: string): { value: string | number | boolean } | { reason: string } {
  if (leaf.kind === "number") return /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? { value: Number(text) } : { reason: "expected a number" };
  if (leaf.kind === "boolean") {
    const word = text.toLowerCase();
    if (word === "true" || word === "1") return { value: true };
    return word === "false" || word === "0" ? { value: false } : { reason: "expected true or false" };
  }
  if (leaf.kind === "enum") {
    const option = leaf.options.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
    return option === undefined ? { reason: `expected one of ${leaf.options.join(", ")}` } : { value: option };
  }
  return { value: text };
}

function* leavesOf(schema: z.ZodType, path: readonly string[]): Generator<Leaf> {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) {
    for (const [key, value] of Object.entries(shapeOf(inner))) yield* leavesOf(value, [...path, key]);
    return;
  }
  const kind = inner.def.type;
  if (kind !== "string" && kind !== "number" && kind !== "boolean" && kind !== "enum") return;
  yield { path, kind, options: inner instanceof z.ZodEnum ? inner.options.map(String) : [] };
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodNullable) {
    return unwrap(asType(schema.unwrap()));
  }
  return schema;
}

function shapeOf(schema: z.ZodObject): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(schema.shape).map(([key, value]) => [key, asType(value)]));
}

/** zod types what containers hold as its core type; every schema of the contract is made with the full one. */
function asType(schema: unknown): z.ZodType {
  if (schema instanceof z.ZodType) return schema;
  throw new TypeError("the configuration schema holds something that is not a schema");
}

function unknownAt(path: readonly string[], siblings: readonly string[]): Problem {
  const key = path.at(-1) ?? "";
  const close = nearest(key, siblings);
  const above = path.slice(0, -1);
  // A key in the wrong place is as likely as a misspelt one.
  const elsewhere = leaves.find((leaf) => leaf.path.at(-1)?.toLowerCase() === key.toLowerCase())?.path;
  const meant = close === undefined ? elsewhere : [...above, close];
  return meant === undefined ? { path, reason: "unknown key" } : { path, reason: `unknown key, did you mean ${meant.join(".")}?`, nearest: meant.join(".") };
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return `expected ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
  if (issue.code === "invalid_format" && issue.format === "url") return "expected an http or https address";
  const text = issue.message.replace(/^Invalid input: /, "").replace(/^expected int, received number$/, "expected a whole number");
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function firstOf<T, R>(items: Iterable<T>, find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
