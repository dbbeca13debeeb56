/** The few forms of Markdown that protocol.md is made of. */

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/** A fenced block with one JSON value on each line, as they go over the wire. */
export function wire(...frames: readonly unknown[]): string {
  return ["```jsonl", ...frames.map((frame) => JSON.stringify(frame)), "```"].join("\n");
}

/** A fenced block with what host and sidecar write, each line behind the mark of its writer. */
export function exchange(...lines: readonly { from: "host" | "sidecar"; frame: unknown }[]): string {
  return ["```text", ...lines.map(({ from, frame }) => `${from === "host" ? "→" : "←"} ${JSON.stringify(frame)}`), "```"].join("\n");
}

/** A link to a heading of the same document. */
export function linkTo(heading: string): string {
  return `[${heading}](#${anchor(heading)})`;
}

/** The anchor that GitHub and most Markdown readers give to a heading. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
