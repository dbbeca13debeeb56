import { createContext, Script } from "node:vm";
import type { ErrorObject, Options, ValidateFunction } from "ajv";
import { redactText } from "../redact.ts";

/** Says what is wrong with the arguments, by path and reason; undefined where they fit. */
export type ArgumentCheck = (args: Record<string, unknown>) => string | undefined;

/**
 * Makes a check from the JSON Schema of a tool's arguments. `$schema` chooses the dialect (draft-07
 * and before, else 2020-12, which is what MCP assumes); without it whichever of the two fits.
 * Rejects with a readable error for a schema that cannot be used. `format` is not checked.
 */
export async function compileCheck(schema: Record<string, unknown>): Promise<ArgumentCheck> {
  // An asynchronous schema would answer with a promise, and everything would seem to fit.
  const { $schema, $async: _, ...rest } = schema;
  const mayTakeLong = SLOW_KEYWORDS.test(JSON.stringify(rest));
  if (typeof $schema === "string") return checkWith(await compile(rest, isOldDialect($schema) ? "draft-07" : "2020-12"), mayTakeLong);
  try {
    return checkWith(await compile(rest, "2020-12"), mayTakeLong);
  } catch (error) {
    // A list as `items` and the like mean something else since: older servers send them undeclared.
    const older = await compile(rest, "draft-07").catch(() => undefined);
    if (older === undefined) throw error;
    return checkWith(older, mayTakeLong);
  }
}

const options: Options = {
  strict: false,
  logger: false,
  // Compiling finds what is wrong with a schema by itself, without 40 ms for the schema of schemas.
  meta: false,
  validateSchema: false,
  // One wrong item in a million must not become a million errors.
  allErrors: false,
  code: { regExp: Object.assign(lenientPattern, { code: "lenientPattern" }) },
};

/**
 * Each schema has a compiler of its own: two tools may well carry the same $id, and nothing of a tool
 * stays behind that a change of configuration took away. The package is loaded on first use: it would
 * cost every start, and many a process never runs a tool.
 */
async function compile(schema: Record<string, unknown>, dialect: "draft-07" | "2020-12"): Promise<ValidateFunction> {
  if (dialect === "draft-07") return new (await import("ajv")).Ajv(options).compile(schema);
  return new (await import("ajv/dist/2020.js")).Ajv2020(options).compile(schema);
}

function isOldDialect(declared: string): boolean {
  return /\/draft-0[3-7]\//.test(declared);
}

/** Patterns that are only valid without the `u` flag (`\_`, `\@`) are common in the wild. */
function lenientPattern(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return new RegExp(pattern, flags.replace("u", ""));
  }
}

/** Errors named in one message, and characters of it. */
const MOST_ERRORS = 3;
const MOST_CHARACTERS = 1000;

/** With these a few characters of a schema and of arguments can keep a check busy for ever. */
const SLOW_KEYWORDS = /"(?:pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef|\$recursiveRef)"/;
/** Longest check, in milliseconds: nothing else is answered while it runs. */
const LONGEST_CHECK_MS = 250;

function checkWith(validate: ValidateFunction, mayTakeLong: boolean): ArgumentCheck {
  const run = mayTakeLong ? inLimitedTime(validate) : validate;
  return (args) => {
    if (run(args)) return undefined;
    const text = redactText((validate.errors ?? []).slice(0, MOST_ERRORS).map(readable).join("; "));
    return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
  };
}

/** The same check, given up when it takes too long: Node can interrupt what is called from a script of its own, a regular expression included. */
function inLimitedTime(validate: ValidateFunction): (args: Record<string, unknown>) => boolean {
  const place = createContext({ validate, args: undefined as unknown });
  const script = new Script("validate(args)");
  return (args) => {
    place["args"] = args;
    try {
      return script.runInContext(place, { timeout: LONGEST_CHECK_MS }) === true;
    } catch (error) {
      // An error of the other place is not an instance of the errors of this one.
      if ((error as { code?: unknown } | undefined)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
        throw new Error(`the schema of the tool takes too long to check (more than ${LONGEST_CHECK_MS} ms)`, { cause: error });
      }
      throw error;
    } finally {
      place["args"] = undefined;
    }
  };
}

function readable({ instancePath, message, keyword, params }: ErrorObject): string {
  const reason = `${instancePath === "" ? "the arguments" : instancePath} ${message ?? `must fit "${keyword}"`}`;
  if (keyword === "additionalProperties") return `${reason} (${JSON.stringify(params["additionalProperty"])})`;
  if (keyword === "unevaluatedProperties") return `${reason} (${JSON.stringify(params["unevaluatedProperty"])})`;
  if (keyword === "enum") return `${reason}: ${JSON.stringify(params["allowedValues"])}`;
  if (keyword === "const") return `${reason}: ${JSON.stringify(params["allowedValue"])}`;
  return reason;
}
