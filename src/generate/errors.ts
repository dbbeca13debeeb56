/** The two tables of what can go wrong: errors of requests, and failures of streams. */
import { universalErrors } from "../contract/define.ts";
import { methods } from "../contract/index.ts";
import { type ErrorName, errorTable, fail, failureTable } from "../errors.ts";
import { linkTo, table } from "./markdown.ts";
import { errorsByStatus } from "./openapi/errors.ts";
import { operations } from "./operations.ts";

/** Every error that an answer can carry, with what a program finds in `data` and who raises it. */
export function errorReference(): string {
  return table(
    ["Code", "`kind`", "`data`", "Message", "Retry", "HTTP", "Raised by"],
    namesOf(errorTable).map((name) => {
      const { code, kind, message, retryable, http } = errorTable[name];
      return [`${code}`, `\`${kind}\``, dataText(name), `${message}.`, retryable ? "yes" : "no", `${http} \`${name}\``, raisedBy(name)];
    }),
  );
}

/** The errors of one method in a sentence. */
export function errorsOf(names: readonly ErrorName[]): string {
  const own = names.map((name) => {
    const { code, kind } = errorTable[name];
    const detail = codeInData(name);
    return detail === undefined ? `\`${kind}\` (${code})` : `\`${detail}\` (${code}, kind \`${kind}\`)`;
  });
  return [...own, `${own.length > 0 ? "and " : ""}[those of any request](#${ANY_REQUEST})`].join(", ");
}

/** Every `kind` of `stream.error`. */
export function failureReference(): string {
  return table(
    ["`kind`", "`retryable`", "Meaning"],
    namesOf(failureTable).map((kind) => [`\`${kind}\``, failureTable[kind].retryable ? "true" : "false", `${failureTable[kind].meaning}.`]),
  );
}

/** Anchor of the section that holds the error table. */
const ANY_REQUEST = "errors";

/** What the HTTP listener raises, by any of its routes or of itself. */
const overHttp = new Set(operations.flatMap((operation) => ["not_found" as const, ...[...errorsByStatus(operation).values()].flat()]));

/** What `data` holds beside `data.code`. Listed by name, so that a new error has to say it. */
const data: Record<ErrorName, string> = {
  parse: "",
  invalid_request: "`reason`: `duplicate_id`, `frame_too_large` (with `limitBytes`) or `too_deep` (with `limit`); else no `data`",
  method_not_found: "`method`",
  invalid_params:
    "`issues`: what is wrong, as a list of `{path, message}`; or, where it is one thing, `path` (of what only the database knows: `field`; of a tool: `tool`), with `nearest` where something close was probably meant, and with `code` where a program may want to react: `api_key_missing`, `price_unknown`, `idempotency_key_reused`",
  internal: "",
  budget_exhausted: "as of `turn_failed`",
  policy_denied: "`tool`, `mode`, `reason` (for people)",
  tool_failed: "",
  storage:
    "`reason`: `disk_full`, `io`, `readonly`, `busy`, `corrupt`, `newer`, `foreign`, `unavailable`, `gone` or `closed`; sometimes `sqliteCode` or `errno` for whoever looks into it; of `agent.chat.complete` as of `turn_failed`, where the turn had begun",
  session_not_found: "`sessionId`",
  session_closed: "`sessionId`",
  not_found: "",
  role_not_found: "`role`",
  agent_not_found: "`agent`",
  rag_not_found: "`rag`",
  not_enabled: "",
  trace_not_found: "`traceId`",
  stream_not_found: "`streamId`",
  turn_not_found: "`turnId`",
  events_gone: "",
  unauthorized: "",
  forbidden: "`scope`: what the caller would need; or `path`: the param that takes the scope `admin`",
  too_large: "`limitBytes`; of a file that goes with a turn also `path`, and `limitCharacters` where it is the text that is too long",
  unsupported_media: "of a file that goes with a turn: `path`",
  rate_limited: "`retryAfterMs`",
  too_many_sessions: "`limit`, `retryAfterMs`",
  turn_failed:
    "`failure`: what `stream.error` would say (`kind`, `message`, `status`, `retryable`, `retryAfterMs`); `traceId`; of `agent.chat.complete` also `streamId` and `message`, the answer as far as it came",
  overloaded: "`retryAfterMs`",
  shutting_down: "",
  transport_closed: "",
  timeout: "",
  cancelled: "of `agent.chat.complete`, where the turn was stopped by something else than `$/cancelRequest`: `message`, `streamId`, `traceId`",
};

function dataText(name: ErrorName): string {
  const code = codeInData(name);
  return [...(code === undefined ? [] : [`\`code\`: \`${code}\``]), ...(data[name] === "" ? [] : [data[name]])].join("; ");
}

/** `data.code` of an error as it goes over the wire. */
function codeInData(name: ErrorName): string | undefined {
  const code = fail(name).toWire().data?.["code"];
  return typeof code === "string" ? code : undefined;
}

function raisedBy(name: ErrorName): string {
  if (universalErrors.some((universal) => universal === name)) return "any request";
  const raising = Object.values<{ name: string; errors: readonly ErrorName[] }>(methods).filter(({ errors }) => errors.includes(name));
  if (raising.length > 0) return raising.map((method) => linkTo(method.name)).join(", ");
  return overHttp.has(name) ? linkTo("HTTP") : "nothing in this version";
}

function namesOf<T extends object>(entries: T): (keyof T & string)[] {
  return Object.keys(entries) as (keyof T & string)[];
}
