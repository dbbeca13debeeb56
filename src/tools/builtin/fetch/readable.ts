import { decodeEntities } from "./entities.ts";
import { PlainWriter } from "./plain-writer.ts";
import { scanHtml, type Tag } from "./scan.ts";

export interface ReadableText {
  title: string | undefined;
  text: string;
}

/**
 * What a page says to a reader, as plain text with a little Markdown: headings, lists, links with
 * their whole address, preformatted text. Scripts, styles and pictures are left out. `base` is where
 * the page came from. Takes time in proportion to the page, however broken that is. Rejects with the
 * reason of `signal`.
 */
export async function readable(html: string, base: URL, signal: AbortSignal): Promise<ReadableText> {
  const page = new Page(base);
  await scanHtml(html, page, signal);
  return page.finish();
}

/** Elements that nobody reads; all that is inside goes too. */
const unread = new Set(["template", "svg", "object", "canvas", "audio", "video", "select", "dialog"]);
const paragraphs = new Set(
  "p ul ol table blockquote section article header footer main nav aside figure form dl fieldset details h1 h2 h3 h4 h5 h6 pre hr".split(" "),
);
const rows = new Set("br li tr div dt dd option summary figcaption address caption".split(" "));

class Page {
  readonly #out = new PlainWriter();
  #base: URL;
  #title = "";
  /** The element that is being left out, and how deep in elements of its name we are. */
  #unread: { name: string; depth: number } | undefined;
  #lists: { ordered: boolean; count: number }[] = [];
  #link: string | undefined;

  constructor(base: URL) {
    this.#base = base;
  }

  text(raw: string): void {
    if (this.#unread === undefined) this.#out.write(decodeEntities(raw));
  }

  title(raw: string): void {
    if (this.#title === "" && this.#unread === undefined) this.#title = decodeEntities(raw).replace(/\s+/g, " ").trim();
  }

  open({ name, attributes, isEmpty }: Tag): void {
    if (this.#unread !== undefined) {
      if (this.#unread.name === name && !isEmpty) this.#unread.depth += 1;
      return;
    }
    if (unread.has(name) && !isEmpty) this.#unread = { name, depth: 1 };
    this.#breakAt(name);
    const level = /^h([1-6])$/.exec(name)?.[1];
    if (level !== undefined) this.#out.lead(`${"#".repeat(Number(level))} `);
    else if (name === "ul" || name === "ol") this.#lists.push({ ordered: name === "ol", count: 0 });
    else if (name === "li") this.#out.lead(this.#bullet());
    else if (name === "td" || name === "th") this.#out.cell();
    else if (name === "pre") this.#out.startPre();
    else if (name === "hr") this.#out.write("---");
    else if (name === "img") this.#picture(attributes.get("alt"));
    else if (name === "a") this.#startLink(attributes.get("href"));
    else if (name === "base") this.#rebase(attributes.get("href") ?? "");
    if (name === "hr") this.#breakAt(name);
  }

  close(name: string): void {
    if (this.#unread !== undefined) {
      if (this.#unread.name === name) this.#unread.depth -= 1;
      if (this.#unread.depth === 0) this.#unread = undefined;
      return;
    }
    if (name === "ul" || name === "ol") this.#lists.pop();
    else if (name === "pre") this.#out.endPre();
    else if (name === "a") this.#endLink();
    // What had no text needs no bullet.
    else if (name === "li" || /^h[1-6]$/.test(name)) this.#out.lead("");
    this.#breakAt(name);
  }

  finish(): ReadableText {
    this.#endLink();
    return { title: this.#title === "" ? undefined : this.#title, text: this.#out.finish() };
  }

  #breakAt(name: string): void {
    // Lists inside of lists are one list to the eye.
    if (paragraphs.has(name)) this.#out.break(this.#lists.length > 0 ? 1 : 2);
    else if (rows.has(name)) this.#out.break(1);
  }

  #bullet(): string {
    const list = this.#lists.at(-1);
    if (list === undefined) return "- ";
    list.count += 1;
    const indent = "  ".repeat(Math.min(this.#lists.length, DEEPEST_LIST) - 1);
    return `${indent}${list.ordered ? `${list.count}.` : "-"} `;
  }

  #picture(alt: string | undefined): void {
    const said = decodeEntities(alt ?? "").trim();
    if (said !== "") this.#out.write(`[image: ${said}]`);
  }

  #startLink(href: string | undefined): void {
    this.#endLink();
    const target = href === undefined ? undefined : this.#target(decodeEntities(href).trim());
    if (target === undefined) return;
    this.#link = target;
    this.#out.startLink();
  }

  #endLink(): void {
    if (this.#link !== undefined) this.#out.endLink(this.#link);
    this.#link = undefined;
  }

  /** Where relative links begin. */
  #rebase(href: string): void {
    if (URL.canParse(href, this.#base.href)) this.#base = new URL(href, this.#base);
  }

  /** Whole, so that it can be fetched; undefined where it leads nowhere else. */
  #target(href: string): string | undefined {
    if (href === "" || href.startsWith("#") || href.length > LONGEST_LINK || !URL.canParse(href, this.#base.href)) return undefined;
    const url = new URL(href, this.#base);
    return /^(?:https?|mailto):$/.test(url.protocol) ? url.href : undefined;
  }
}

const DEEPEST_LIST = 8;
const LONGEST_LINK = 2048;
