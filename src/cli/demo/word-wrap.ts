/** Breaks lines between words while a text comes in pieces; a terminal alone would break them within words. */
import type { Output } from "../io.js";

export class WordWrap {
  private column = 0;
  /** Spaces that are written only if a word follows them on the line, and the word so far. */
  private spaces = "";
  private word = "";
  private readonly width: number;

  /** Only at a terminal; elsewhere everything is written as it comes. */
  constructor(
    private readonly output: Output,
    /** For what is written: styles, which take no columns. */
    private readonly style: (text: string) => string = (text) => text,
  ) {
    this.width = output.isTTY ? output.columns - 1 : Number.POSITIVE_INFINITY;
  }

  /** The last word is kept back until the next piece or `end` shows that it is whole. */
  async write(text: string): Promise<void> {
    if (!this.output.isTTY) return this.output.write(this.style(text));
    let ready = "";
    for (const character of text) {
      if (character !== " " && character !== "\n") this.word += character;
      else {
        ready += this.flush();
        if (character === " ") this.spaces += " ";
        else {
          ready += "\n";
          this.column = 0;
          this.spaces = "";
        }
      }
    }
    if (ready !== "") await this.output.write(this.style(ready));
  }

  /** Writes what was kept back. */
  async end(): Promise<void> {
    const rest = this.flush();
    if (rest !== "") await this.output.write(this.style(rest));
  }

  /** The word that is whole now, on this line or on the next. */
  private flush(): string {
    if (this.word === "") return "";
    const length = [...this.word].length;
    const fits = this.column + this.spaces.length + length <= this.width;
    const before = fits ? this.spaces : this.column > 0 ? "\n" : "";
    this.column = (fits ? this.column + this.spaces.length : 0) + length;
    const text = before + this.word;
    this.spaces = "";
    this.word = "";
    return text;
  }
}
