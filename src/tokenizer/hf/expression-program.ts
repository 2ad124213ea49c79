/**
 * Runs a compiled expression by backtracking, as Oniguruma does, but with a bound on the steps: an expression that tries for
 * ever on some text is an error, and the caller is asked now and then whether to go on, which no RegExp allows.
 */
import { UnsupportedError } from "../../util/errors.js";
import { type CharacterSet, isWord } from "./character-set.js";

export type Place = "lineStart" | "lineEnd" | "textStart" | "textEnd" | "textEndLine" | "word" | "noWord";

export type Instruction =
  | { readonly op: "set"; readonly set: CharacterSet }
  /** One set again and again; `atomic`: what was taken is not given back. */
  | {
      readonly op: "loop";
      readonly set: CharacterSet;
      readonly min: number;
      readonly max: number;
      readonly atomic: boolean;
    }
  /** Goes on at the first, and at the second if that fails. */
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "jump"; to: number }
  /** Remembers where a round of a loop begins; a round that took nothing is the last. */
  | { readonly op: "round"; readonly register: number }
  | { readonly op: "again"; readonly register: number; readonly to: number }
  | { readonly op: "place"; readonly place: Place }
  | { readonly op: "keep"; readonly body: number; next: number }
  | { readonly op: "look"; readonly negate: boolean; readonly behind: number; readonly body: number; next: number }
  | { readonly op: "end" };

/** Steps for each character of a text, and for any text. Expressions in use take some ten a character. */
const STEPS_PER_CHARACTER = 128;
const STEPS = 20_000_000;
/** Steps between two looks at the caller. */
const ASK_AFTER = 1 << 16;
/** Places to go back to. */
const MOST_STACK = 1 << 24;
const FRAME = 4;
const ALTERNATIVE = 0;
const SHORTER = 1;
const REGISTER = 2;

export class Matcher {
  private stack = new Int32Array(1 << 10);
  private top = 0;
  private steps = 0;
  private limit = 0;
  private askAt = 0;
  private text = "";
  private check: (() => void) | undefined;
  private readonly registers: Int32Array;

  constructor(
    readonly program: readonly Instruction[],
    registers: number,
    readonly source: string,
  ) {
    this.registers = new Int32Array(registers);
  }

  /** All matches of a text, [start, end), as Oniguruma's iterator finds them: no empty one at the end of another, none in nothing. */
  *matches(text: string, check?: () => void): Generator<readonly [number, number], void, undefined> {
    this.text = text;
    this.steps = 0;
    this.limit = STEPS + STEPS_PER_CHARACTER * text.length;
    this.askAt = ASK_AFTER;
    this.check = check;
    let lastEnd = -1;
    if (text === "") return;
    for (let at = 0; at <= text.length; ) {
      this.top = 0;
      const end = this.run(0, at);
      if (end < 0 || (end === at && end === lastEnd)) {
        at += at < text.length ? this.width(at) : 1;
        continue;
      }
      yield [at, end];
      // Whoever took the match may have used this matcher for another text.
      this.text = text;
      lastEnd = end;
      at = end;
    }
  }

  /** Runs from an instruction to the end of its program; returns where the match ends, or -1. */
  private run(start: number, from: number): number {
    const base = this.top;
    let pc = start;
    let at = from;
    for (;;) {
      this.step(1);
      const instruction = this.program[pc];
      let goesOn = true;
      switch (instruction.op) {
        case "end":
          this.top = base;
          return at;
        case "set": {
          const width = this.widthIn(instruction.set, at);
          goesOn = width > 0;
          at += width;
          pc++;
          break;
        }
        case "loop": {
          const end = this.loop(instruction, at);
          goesOn = end >= 0;
          if (goesOn && !instruction.atomic) {
            const least = this.least(at, instruction.min);
            if (end > least) this.push(SHORTER, pc + 1, end, least);
          }
          at = end;
          pc++;
          break;
        }
        case "split":
          this.push(ALTERNATIVE, instruction.second, at, 0);
          pc = instruction.first;
          break;
        case "jump":
          pc = instruction.to;
          break;
        case "round":
          this.push(REGISTER, instruction.register, this.registers[instruction.register], 0);
          this.registers[instruction.register] = at;
          pc++;
          break;
        case "again":
          pc = this.registers[instruction.register] === at ? pc + 1 : instruction.to;
          break;
        case "place":
          goesOn = this.isAt(instruction.place, at);
          pc++;
          break;
        case "keep":
          at = this.run(instruction.body, at);
          goesOn = at >= 0;
          pc = instruction.next;
          break;
        case "look":
          goesOn = this.looks(instruction, at);
          pc = instruction.next;
          break;
      }
      if (goesOn) continue;
      const back = this.back(base);
      if (!back) return -1;
      pc = this.backPc;
      at = this.backAt;
    }
  }

  private backPc = 0;
  private backAt = 0;

  /** Takes up the newest place that is left to go back to. */
  private back(base: number): boolean {
    const stack = this.stack;
    while (this.top > base) {
      const frame = this.top - FRAME;
      const kind = stack[frame];
      if (kind === REGISTER) {
        this.registers[stack[frame + 1]] = stack[frame + 2];
        this.top = frame;
        continue;
      }
      this.backPc = stack[frame + 1];
      if (kind === ALTERNATIVE) {
        this.backAt = stack[frame + 2];
        this.top = frame;
        return true;
      }
      const shorter = stack[frame + 2] - this.widthBefore(stack[frame + 2]);
      this.backAt = shorter;
      if (shorter <= stack[frame + 3]) this.top = frame;
      else stack[frame + 2] = shorter;
      return true;
    }
    return false;
  }

  private push(kind: number, a: number, b: number, c: number): void {
    if (this.top + FRAME > this.stack.length) {
      if (this.stack.length >= MOST_STACK) throw this.endless();
      const larger = new Int32Array(this.stack.length * 4);
      larger.set(this.stack);
      this.stack = larger;
    }
    const stack = this.stack;
    stack[this.top] = kind;
    stack[this.top + 1] = a;
    stack[this.top + 2] = b;
    stack[this.top + 3] = c;
    this.top += FRAME;
  }

  private loop({ set, min, max }: Instruction & { op: "loop" }, from: number): number {
    let at = from;
    let count = 0;
    while (count < max) {
      const width = this.widthIn(set, at);
      if (width === 0) break;
      at += width;
      count++;
    }
    this.step(count);
    return count < min ? -1 : at;
  }

  /** Where the first `count` characters from a place end. */
  private least(from: number, count: number): number {
    let at = from;
    for (let i = 0; i < count; i++) at += this.width(at);
    return at;
  }

  private looks({ negate, behind, body }: Instruction & { op: "look" }, at: number): boolean {
    let from = at;
    for (let i = 0; i < behind && from >= 0; i++) from = from > 0 ? from - this.widthBefore(from) : -1;
    const top = this.top;
    const end = from < 0 ? -1 : this.run(body, from);
    this.top = top;
    return end >= 0 !== negate;
  }

  private isAt(place: Place, at: number): boolean {
    const text = this.text;
    switch (place) {
      case "textStart":
        return at === 0;
      case "textEnd":
        return at === text.length;
      case "textEndLine":
        return at === text.length || (at === text.length - 1 && text[at] === "\n");
      case "lineStart":
        return at === 0 || (text[at - 1] === "\n" && at < text.length);
      case "lineEnd":
        return at === text.length || text[at] === "\n";
      case "word":
      case "noWord": {
        const before = at > 0 && isWord.has(text.codePointAt(at - this.widthBefore(at)) ?? 0);
        const after = at < text.length && isWord.has(text.codePointAt(at) ?? 0);
        return (before !== after) === (place === "word");
      }
    }
  }

  private widthIn(set: CharacterSet, at: number): number {
    if (at >= this.text.length) return 0;
    const codePoint = this.text.codePointAt(at) ?? 0;
    if (!set.has(codePoint)) return 0;
    return codePoint > 0xffff ? 2 : 1;
  }

  private width(at: number): number {
    return (this.text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }

  private widthBefore(at: number): number {
    return at > 1 && (this.text.codePointAt(at - 2) ?? 0) > 0xffff ? 2 : 1;
  }

  private step(count: number): void {
    this.steps += count;
    if (this.steps < this.askAt) return;
    this.askAt = this.steps + ASK_AFTER;
    this.check?.();
    if (this.steps > this.limit) throw this.endless();
  }

  private endless(): UnsupportedError {
    return new UnsupportedError(
      `tokenizer.json: the expression ${JSON.stringify(this.source.slice(0, 200))} was still looking for its next match in ` +
        `${this.text.length} characters after ${this.steps} steps. It may try for ever on such texts; take a tokenizer ` +
        "without nested repetitions.",
      { steps: this.steps },
    );
  }
}
