const FENCE = "```\n";

/** Writes running text as a browser lays it out: white space runs together, and breaks do not add up. */
export class PlainWriter {
  readonly #parts: string[] = [];
  /** What comes before the next word: line ends, or else a space, then the lead of the line. */
  #breaks = 0;
  #space = false;
  #lead = "";
  #cell = false;
  #isLinkWaiting = false;
  #isPre = false;

  /** Text of the page, with its white space. */
  write(text: string): void {
    if (this.#isPre) return this.#writePre(text);
    const words = text.replace(/\s+/g, " ");
    const trimmed = words.trim();
    if (words.startsWith(" ")) this.#space = true;
    if (trimmed === "") return;
    this.#catchUp();
    this.#parts.push(trimmed);
    if (words.endsWith(" ")) this.#space = true;
  }

  /** The next text begins on a new line; with 2, after an empty one. */
  break(lines: number): void {
    if (this.#isPre) return;
    this.#breaks = Math.max(this.#breaks, lines);
    this.#space = false;
    this.#cell = false;
  }

  /** What the next text of this line begins with, if there is one. */
  lead(text: string): void {
    this.#lead = text;
  }

  /** The next text is in a cell of its own. */
  cell(): void {
    this.#cell = true;
  }

  startPre(): void {
    if (this.#isPre) return;
    this.#catchUp();
    this.#parts.push(FENCE);
    this.#isPre = true;
  }

  endPre(): void {
    if (!this.#isPre) return;
    this.#isPre = false;
    this.#parts.push(this.#parts.at(-1)?.endsWith("\n") === true ? "```" : "\n```");
  }

  startLink(): void {
    this.#isLinkWaiting = true;
  }

  /** A link without text leaves nothing. */
  endLink(target: string): void {
    if (!this.#isLinkWaiting) this.#parts.push(`](${target})`);
    this.#isLinkWaiting = false;
  }

  finish(): string {
    this.endPre();
    return this.#parts.join("").trim();
  }

  #writePre(text: string): void {
    // Text that is nothing but a line break would end a link that has not begun.
    if (this.#isLinkWaiting && text.trim() !== "") this.#openLink();
    const lines = text.replace(/\r\n?/g, "\n");
    this.#parts.push(this.#parts.at(-1) === FENCE ? lines.replace(/^\n/, "") : lines);
  }

  #catchUp(): void {
    if (this.#parts.length === 0) this.#breaks = 0;
    if (this.#breaks > 0) this.#parts.push("\n".repeat(this.#breaks));
    else if (this.#cell && this.#parts.length > 0) this.#parts.push(" | ");
    else if (this.#space && this.#parts.length > 0) this.#parts.push(" ");
    if (this.#lead !== "") this.#parts.push(this.#lead);
    this.#breaks = 0;
    this.#space = false;
    this.#cell = false;
    this.#lead = "";
    if (this.#isLinkWaiting) this.#openLink();
  }

  #openLink(): void {
    this.#parts.push("[");
    this.#isLinkWaiting = false;
  }
}
