import { asWindows } from "./windows-1252.ts";

/** What a Content-Type says. */
export interface Media {
  /** In lower case, without parameters; empty where there is none. */
  type: string;
  charset: string | undefined;
}

export function mediaOf(contentType: string): Media {
  const [type = "", ...parameters] = contentType.split(";");
  const charset = parameters.map((each) => /^\s*charset\s*=\s*"?([^"\s]+)/i.exec(each)?.[1]).find((each) => each !== undefined);
  return { type: type.trim().toLowerCase(), charset };
}

/** Whether such a body is for reading; by its first bytes where the type says nothing. */
export function isText({ type }: Media, bytes: Buffer): boolean {
  return type === "" ? !bytes.subarray(0, BINARY_START).includes(0) : textual.test(type);
}

export function isHtml({ type }: Media): boolean {
  return type === "text/html" || type === "application/xhtml+xml";
}

/**
 * The text of a body: by its byte order mark, else by the charset of the Content-Type, else by what
 * HTML and XML say at their start, else as UTF-8. What does not fit becomes U+FFFD. The last
 * character of a body that was cut is left out if it is not whole.
 */
export function textOf(bytes: Buffer, { type, charset }: Media, isCut: boolean): string {
  const label = markOf(bytes) ?? charset ?? (/html|xml/.test(type) ? declared(bytes) : undefined);
  return decode(bytes, label, isCut);
}

const BINARY_START = 8 * 1024;
const textual =
  /^text\/|^application\/(?:[\w.-]*(?:json|xml|javascript|ecmascript|yaml|toml|graphql|sql|ndjson|jsonl|json-seq)|x-sh|x-www-form-urlencoded)$|\+(?:json|xml|yaml)$/;

function markOf(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, 3).toString("hex");
  if (start === "efbbbf") return "utf-8";
  if (start.startsWith("feff")) return "utf-16be";
  return start.startsWith("fffe") ? "utf-16le" : undefined;
}

/** `<meta charset=…>`, `<meta … content="…; charset=…">` or `<?xml … encoding="…"?>`. */
function declared(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, 1024).toString("latin1");
  return /<meta\s[^>]*?charset\s*=\s*["']?([^"'\s/>;]+)|^<\?xml\s[^>]*?encoding\s*=\s*["']([^"']+)/i.exec(start)?.slice(1).find(Boolean);
}

function decode(bytes: Buffer, label: string | undefined, isCut: boolean): string {
  const decoder = decoderFor(label);
  const text = decoder.decode(bytes, { stream: isCut });
  return decoder.encoding === "windows-1252" ? asWindows(text) : text;
}

function decoderFor(label: string | undefined) {
  try {
    return new TextDecoder(label);
  } catch {
    // Not a name that anybody knows: UTF-8 is most likely.
    return new TextDecoder();
  }
}
