import { setImmediate } from "node:timers/promises";

export interface Tag {
  /** In lower case. */
  name: string;
  /** By name in lower case; character references are left as they are. */
  attributes: ReadonlyMap<string, string>;
  /** Written `<name/>`. */
  isEmpty: boolean;
}

/** Is told what is in a page, in order. */
export interface HtmlSink {
  text(raw: string): void;
  title(raw: string): void;
  open(tag: Tag): void;
  close(name: string): void;
}

/**
 * Cuts HTML into tags and text, as browsers do as far as a reader can tell. What is between the tags
 * of scripts and styles is skipped. A tag, comment or script that never ends takes the rest with it.
 * Lets others work in between: a page of some megabytes takes a second. Rejects with the reason of `signal`.
 */
export async function scanHtml(html: string, sink: HtmlSink, signal: AbortSignal): Promise<void> {
  let at = 0;
  for (let pieces = 1; at < html.length; pieces += 1) {
    if (pieces % PIECES_AT_ONCE === 0) await setImmediate();
    signal.throwIfAborted();
    const next = html.indexOf("<", at);
    if (next === -1) return sink.text(html.slice(at));
    if (next > at) sink.text(html.slice(at, next));
    at = afterMarkup(html, next, sink);
  }
}

/** As many take some milliseconds. */
const PIECES_AT_ONCE = 1000;

/** Elements whose content is no HTML, whether it is read or not. */
const rawElements = new Set(["script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp"]);

/** Takes what begins with the `<` at `at`; gives where it ends. */
function afterMarkup(html: string, at: number, sink: HtmlSink): number {
  if (html.startsWith("<!--", at)) return after(html, "-->", at + 4);
  if (/[!?]/.test(html[at + 1] ?? "")) return after(html, ">", at);
  const isClosing = html[at + 1] === "/";
  const [name] = stick(/[a-z][^\s/>]*/iy, html, at + (isClosing ? 2 : 1)) ?? [];
  if (name === undefined) {
    if (isClosing) return after(html, ">", at);
    sink.text("<");
    return at + 1;
  }
  const { attributes, end } = attributesAt(html, at + (isClosing ? 2 : 1) + name.length);
  if (end === undefined) return html.length;
  const lower = name.toLowerCase();
  if (isClosing) sink.close(lower);
  else sink.open({ name: lower, attributes, isEmpty: html[end - 2] === "/" });
  return isClosing || !rawElements.has(lower) ? end : afterRaw(html, end, lower, sink);
}

function afterRaw(html: string, at: number, name: string, sink: HtmlSink): number {
  const closing = new RegExp(`</${name}(?=[\\s/>])`, "gi");
  closing.lastIndex = at;
  const found = closing.exec(html)?.index ?? html.length;
  if (name === "title") sink.title(html.slice(at, found));
  else if (name === "textarea" || name === "xmp") sink.text(html.slice(at, found));
  return found;
}

/** Attributes of a tag that are told apart. Of a tag with more, the rest is skipped: nobody gets a turn before a tag is over. */
const MOST_ATTRIBUTES = 256;

/** The attributes from behind the name of a tag on, and where the tag ends; undefined where it does not. */
function attributesAt(html: string, start: number): { attributes: Map<string, string>; end: number | undefined } {
  const attributes = new Map<string, string>();
  let at = start;
  for (;;) {
    at += stick(/[\s/]+/y, html, at)?.[0].length ?? 0;
    if (at >= html.length) return { attributes, end: undefined };
    if (html[at] === ">") return { attributes, end: at + 1 };
    if (attributes.size === MOST_ATTRIBUTES) return { attributes, end: endOf(html, at) };
    const name = stick(/=?[^\s/>=]*/y, html, at)?.[0] ?? "";
    at += name.length;
    const equals = stick(/\s*=\s*/y, html, at)?.[0];
    let value = "";
    if (equals !== undefined) {
      at += equals.length;
      const quote = html[at] === '"' || html[at] === "'" ? html[at] : undefined;
      const end = quote === undefined ? at + (stick(/[^\s>]*/y, html, at)?.[0].length ?? 0) : html.indexOf(quote, at + 1);
      if (end === -1) return { attributes, end: undefined };
      value = html.slice(quote === undefined ? at : at + 1, end);
      at = quote === undefined ? end : end + 1;
    }
    if (!attributes.has(name.toLowerCase())) attributes.set(name.toLowerCase(), value);
  }
}

function endOf(html: string, at: number): number | undefined {
  const end = html.indexOf(">", at);
  return end === -1 ? undefined : end + 1;
}

function stick(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function after(html: string, end: string, at: number): number {
  const found = html.indexOf(end, at);
  return found === -1 ? html.length : found + end.length;
}
