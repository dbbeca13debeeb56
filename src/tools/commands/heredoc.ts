interface Shape {
  delimiter: string;
  /** The delimiter was quoted: backslashes mean nothing. */
  plain: boolean;
  /** `<<-`: tabs in front of each line do not count. */
  strip: boolean;
  /** Lines that a backslash joins are one line before the delimiter is looked for (bash), or are none of its lines (dash). */
  joined: boolean;
  /** What the substitution around it ends with. */
  closing: string | undefined;
}

/** The body of a here-document that begins at `start`, and where the line after it begins. */
export function readBody(text: string, start: number, shape: Shape): { body: string; next: number; unclear: boolean } {
  const lines: string[] = [];
  let unclear = false;
  let at = start;
  while (at < text.length) {
    const [line, next, wasJoined] = readLine(text, at, shape);
    const bare = shape.strip ? line.replace(/^\t+/, "") : line;
    if (bare === shape.delimiter && (shape.joined || !wasJoined)) return { body: lines.join(""), next, unclear };
    // `EOF)` ends the body in some shells and not in others.
    if (shape.closing !== undefined && bare.startsWith(shape.delimiter) && bare.slice(shape.delimiter.length).includes(shape.closing)) unclear = true;
    lines.push(`${bare}\n`);
    at = next;
  }
  return { body: lines.join(""), next: text.length, unclear };
}

/** One line, with those that a backslash joins to it, where the next one begins, and whether any was joined. */
function readLine(text: string, start: number, { plain }: Shape): [line: string, next: number, joined: boolean] {
  const parts: string[] = [];
  let at = start;
  for (;;) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? undefined : end);
    const next = end < 0 ? text.length : end + 1;
    const continues = !plain && end >= 0 && /(?:^|[^\\])(?:\\\\)*\\$/.test(line);
    parts.push(continues ? line.slice(0, -1) : line);
    if (!continues) return [parts.join(""), next, parts.length > 1];
    at = next;
  }
}
