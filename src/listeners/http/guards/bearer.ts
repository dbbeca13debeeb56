/** The key that a request brings along. */

/** Characters of the longest key that is looked at. */
export const MOST_KEY_LENGTH = 4096;

/**
 * The key in `Authorization: Bearer <key>`. Undefined for no header, another scheme, and everything that is
 * not exactly the scheme in any case, one space and a key.
 */
export function bearerKey(header: string | undefined): string | undefined {
  // The length goes first: what is too long is not even looked through.
  if (header === undefined || header.length > SCHEME_LENGTH + MOST_KEY_LENGTH) return undefined;
  if (header.slice(0, SCHEME_LENGTH).toLowerCase() !== "bearer ") return undefined;
  const key = header.slice(SCHEME_LENGTH);
  return isKey(key) ? key : undefined;
}

/** Whether a header can carry this as a key: 1 to 4,096 visible ASCII characters. */
export function isKey(text: string): boolean {
  return text.length <= MOST_KEY_LENGTH && /^[\x21-\x7e]+$/.test(text);
}

const SCHEME_LENGTH = "Bearer ".length;
