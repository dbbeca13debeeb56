/** HTML that cannot be forged: what stands in the place of a value is escaped, unless it is HTML itself. */

/** Text that is HTML already. Only `html` makes it. */
export class Html {
  readonly #text: string;

  constructor(strings: TemplateStringsArray, values: readonly Content[]) {
    this.#text = strings.map((string, index) => (index === 0 ? string : textOf(values[index - 1]) + string)).join("");
  }

  toString(): string {
    return this.#text;
  }
}

/** Nothing is shown for `undefined`. */
export type Content = Html | string | number | undefined | readonly Content[];

export function html(strings: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(strings, values);
}

/** The Markdown that descriptions use: paragraphs, lists of one level, and `code`. */
export function markdown(text: string): Html[] {
  return text.split(/\n{2,}/).map((block) => {
    const lines = block.split("\n");
    const first = lines.findIndex((line) => line.startsWith("- "));
    if (first === -1) return html`<p>${inline(block)}</p>`;
    const items = lines.slice(first).map((line) => html`<li>${inline(line.replace(/^- /, ""))}</li>`);
    return html`${first === 0 ? undefined : html`<p>${inline(lines.slice(0, first).join(" "))}</p>`}<ul>${items}</ul>`;
  });
}

/** One line of it. */
export function inline(text: string): Content[] {
  // A mark without a partner is a mark.
  return text
    .split(/(`[^`]+`)/)
    .map((part) => (part.length > 2 && part.startsWith("`") && part.endsWith("`") ? html`<code>${part.slice(1, -1)}</code>` : part));
}

/** A path or a name that may be broken behind its marks. */
export function breakable(name: string): Content {
  return name.split(/(?<=[/._])/).map((part, index) => [index === 0 ? undefined : html`<wbr>`, part]);
}

function textOf(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Html) return content.toString();
  if (typeof content === "object") return content.map(textOf).join("");
  return String(content).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
