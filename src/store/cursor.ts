import { fail } from "../errors.ts";

/** Positions that pages end at. Opaque on the wire, so that nobody builds one by hand. */
export function encodeCursor(kind: CursorKind, position: readonly number[]): string {
  return Buffer.from([kind, ...position].join(".")).toString("base64url");
}

/**
 * The numbers that `encodeCursor` was given: two for messages (turn, index), one for traces.
 * Throws `invalid_params` for anything that no page of this kind could have ended with.
 */
export function decodeCursor(kind: CursorKind, cursor: string): number[] {
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const numbers = text.split(".").slice(1).map(Number);
  // Writing it again and comparing catches every other spelling: signs, spaces, exponents, padding.
  const sound = numbers.length === lengths[kind] && numbers.every((number) => Number.isSafeInteger(number) && number >= 0);
  if (!sound || encodeCursor(kind, numbers) !== cursor)
    throw fail("invalid_params", { field: "cursor" }, "The cursor is not one that a page of this list gave");
  return numbers;
}

export type CursorKind = "m" | "t";

const lengths: Record<CursorKind, number> = { m: 2, t: 1 };
