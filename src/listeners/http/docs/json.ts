/** JSON and event streams in colours. */
import { type Content, type Html, html } from "./html.ts";

/** Indented by two. */
export function json(value: unknown): Html {
  return html`${lines(value, "")}`;
}

/** The text of a stream, with the JSON of its data in one line as it goes over the wire. */
export function eventStream(text: string): Html {
  return html`${text.split("\n").map((line, index) => [index === 0 ? "" : "\n", ...eventLine(line)])}`;
}

function eventLine(line: string): Content[] {
  const colon = line.indexOf(": ");
  return colon === -1 ? [line] : [html`<i class="k">${line.slice(0, colon)}</i>`, line.slice(colon)];
}

function lines(value: unknown, indent: string): Content[] {
  if (Array.isArray(value))
    return framed(
      "[",
      value.map((item) => lines(item, `${indent}  `)),
      "]",
      indent,
    );
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return framed(
      "{",
      members.map(([key, member]) => [html`<i class="k">${JSON.stringify(key)}</i>: `, ...lines(member, `${indent}  `)]),
      "}",
      indent,
    );
  }
  return [html`<i class="${typeof value === "string" ? "s" : "n"}">${JSON.stringify(value)}</i>`];
}

function framed(open: string, parts: readonly Content[], close: string, indent: string): Content[] {
  if (parts.length === 0) return [open + close];
  return [open, ...parts.map((part, index) => [index === 0 ? "" : ",", `\n${indent}  `, part]), `\n${indent}`, close];
}
