import { type Tool, ToolFailure } from "../tool.ts";

/** What `get_time` returns. */
export interface CurrentTime {
  /** The instant in UTC: `2026-01-01T10:00:00.000Z`. */
  iso: string;
  /** The same instant on the clocks of `timeZone`: `2026-01-01T11:00:00.000+01:00`. */
  local: string;
  weekday: string;
  /** As asked for, else that of this machine. */
  timeZone: string;
}

/** `get_time {timeZone?}`. */
export function getTime(now: () => number): Tool {
  return {
    name: "get_time",
    description: "The current date and time, in UTC and in a time zone.",
    mode: "read",
    parameters: {
      type: "object",
      properties: { timeZone: { type: "string", minLength: 1, description: "IANA name such as Europe/Berlin; this machine's when left out." } },
      additionalProperties: false,
    },
    run: async (args) => timeIn((args as { timeZone?: string }).timeZone, new Date(now())),
  };
}

function timeIn(timeZone: string | undefined, date: Date): CurrentTime {
  const format = formatFor(timeZone);
  const parts = new Map(format.formatToParts(date).map(({ type, value }) => [type, value]));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? "";
  // "GMT+01:00"; plain "GMT" where there is no difference.
  const offset = part("timeZoneName").slice("GMT".length) || "+00:00";
  const day = `${part("year").padStart(4, "0")}-${part("month")}-${part("day")}`;
  const time = `${part("hour")}:${part("minute")}:${part("second")}.${part("fractionalSecond")}`;
  return {
    iso: date.toISOString(),
    local: `${day}T${time}${offset}`,
    weekday: part("weekday"),
    timeZone: timeZone ?? format.resolvedOptions().timeZone,
  };
}

/** To make one takes longer than to use it a hundred times. */
const formats = new Map<string, Intl.DateTimeFormat>();
/** Names of zones come from models, which may make them up as they like. */
const MOST_FORMATS = 64;

function formatFor(timeZone: string | undefined): Intl.DateTimeFormat {
  // Where the machine stands may change while we run.
  if (timeZone === undefined) return newFormat(undefined);
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const format = newFormat(timeZone);
  if (formats.size >= MOST_FORMATS) formats.clear();
  formats.set(timeZone, format);
  return format;
}

function newFormat(timeZone: string | undefined): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-US", {
      ...(timeZone === undefined ? {} : { timeZone }),
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      weekday: "long",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      fractionalSecondDigits: 3,
      timeZoneName: "longOffset",
    });
  } catch {
    throw new ToolFailure(`Unknown time zone ${JSON.stringify(timeZone?.slice(0, 64))}; use an IANA name such as "Europe/Berlin"`);
  }
}
