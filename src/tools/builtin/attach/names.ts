import { AttachmentRefusal } from "../../attachment.ts";
import { ToolFailure } from "../../tool.ts";
import { shorten } from "../text/shorten.ts";

/** A name on one line, and not a long one. */
export function shownName(name: string): string {
  return shorten(name.replace(/[\p{Cc}\p{Surrogate}\u2028\u2029]/gu, "\ufffd"), LONGEST_NAME);
}

/** What the file tools and fetch_url refuse is refused here in the same words. */
export function refusalOf(error: unknown): unknown {
  return error instanceof ToolFailure ? new AttachmentRefusal("unavailable", error.message) : error;
}

export function tooLarge(name: string, mostBytes: number): AttachmentRefusal {
  return new AttachmentRefusal("too_large", `${name} holds more than ${mostBytes} bytes`);
}

const LONGEST_NAME = 512;
