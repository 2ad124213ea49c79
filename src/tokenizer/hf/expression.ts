/**
 * Expressions of tokenizer.json, which are Oniguruma's (in its Ruby syntax): possessive and atomic groups, classes within
 * classes, `^` and `$` at lines. Parsed by oniguruma-parser and compiled for `Matcher`.
 */
import {
  type AlternativeElementNode,
  type AlternativeNode,
  type AssertionNode,
  type LookaroundAssertionNode,
  parse,
  type QuantifierNode,
} from "oniguruma-parser/parser";
import { FormatError, SluiceError, UnsupportedError } from "../../util/errors.js";
import { CharacterSet, characterOf, classOf, setOf } from "./character-set.js";
import { type Instruction, Matcher, type Place } from "./expression-program.js";

const LONGEST_EXPRESSION = 16_384;
/** Repetitions with numbers are written out. */
const MOST_INSTRUCTIONS = 65_536;
const DEEPEST = 200;

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/** @throws FormatError for what is no expression, UnsupportedError for what Sluice's matcher lacks */
export function compileExpression(source: string): Matcher {
  if (source.length > LONGEST_EXPRESSION) {
    throw new FormatError(
      `tokenizer.json: an expression has ${source.length} characters; at most ${LONGEST_EXPRESSION} are supported.`,
    );
  }
  const compiler = new Compiler(source);
  try {
    const { body } = parse(source, {
      normalizeUnknownPropertyNames: true,
      skipPropertyNameValidation: true,
      rules: { captureGroup: true },
    });
    compiler.alternatives(body, { ignoreCase: false, dotAll: false }, 0);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new FormatError(
      `tokenizer.json: ${JSON.stringify(source.slice(0, 200))} is no expression that can be read: ${reason}.`,
      {},
      { cause: error },
    );
  }
  return compiler.finish();
}

/** An expression that matches a text literally. */
export function compileText(text: string): Matcher {
  const program: Instruction[] = Array.from(text, (character) => {
    const value = character.codePointAt(0) ?? 0;
    return { op: "set", set: new CharacterSet(characterOf(value, false)) };
  });
  return new Matcher([...program, { op: "end" }], 0, text);
}

class Compiler {
  private readonly program: Instruction[] = [];
  private readonly sets = new Map<string, CharacterSet>();
  private registers = 0;

  constructor(readonly source: string) {}

  finish(): Matcher {
    this.add({ op: "end" });
    return new Matcher(this.program, this.registers, this.source);
  }

  alternatives(list: readonly AlternativeNode[], flags: Flags, depth: number): void {
    if (depth > DEEPEST) throw this.unsupported(`more than ${DEEPEST} groups within each other`);
    const jumps: (Instruction & { op: "jump" })[] = [];
    for (const [i, { body }] of list.entries()) {
      const rest = list.slice(i + 1);
      const split = rest.length > 0 ? this.split() : undefined;
      // A flag holds to the end of its group: `a(?i)b|c` is `a(?i:b|c)`.
      const directive = body.findIndex((node) => node.type === "Directive");
      if (directive >= 0) {
        if (split) this.program.pop();
        this.sequence(body.slice(0, directive), flags, depth);
        const changed = this.changed(body[directive], flags);
        this.alternatives([{ type: "Alternative", body: body.slice(directive + 1) }, ...rest], changed, depth + 1);
        break;
      }
      this.sequence(body, flags, depth);
      if (!split) break;
      jumps.push(this.jump());
      split.second = this.program.length;
    }
    for (const jump of jumps) jump.to = this.program.length;
  }

  private changed(node: AlternativeElementNode, flags: Flags): Flags {
    if (node.type !== "Directive" || node.kind !== "flags") throw this.unsupported("\\K");
    return this.withFlags(flags, node.flags);
  }

  private withFlags(flags: Flags, change: { enable?: object; disable?: object } | undefined): Flags {
    const has = (set: object | undefined, name: string) => set !== undefined && name in set;
    const value = (name: keyof Flags) => (has(change?.enable, name) || flags[name]) && !has(change?.disable, name);
    return { ignoreCase: value("ignoreCase"), dotAll: value("dotAll") };
  }

  private sequence(nodes: readonly AlternativeElementNode[], flags: Flags, depth: number): void {
    if (flags.ignoreCase) this.refuseFolds(nodes);
    for (const node of nodes) this.element(node, flags, depth);
  }

  private element(node: AlternativeElementNode, flags: Flags, depth: number): void {
    const set = this.setOf(node, flags);
    if (set) {
      this.add({ op: "set", set });
      return;
    }
    switch (node.type) {
      case "Quantifier":
        this.quantifier(node, flags, depth);
        return;
      case "CapturingGroup":
        this.alternatives(node.body, flags, depth + 1);
        return;
      case "Group": {
        const inner = this.withFlags(flags, node.flags);
        if (node.atomic) this.keep(() => this.alternatives(node.body, inner, depth + 1));
        else this.alternatives(node.body, inner, depth + 1);
        return;
      }
      case "Assertion":
        this.add({ op: "place", place: this.placeOf(node) });
        return;
      case "LookaroundAssertion":
        this.look(node, flags, depth);
        return;
      default:
        throw this.unsupported(node.type);
    }
  }

  /** One character of a set, if the node is that. */
  private setOf(node: AlternativeElementNode, flags: Flags): CharacterSet | undefined {
    if (node.type !== "Character" && node.type !== "CharacterClass" && node.type !== "CharacterSet") return undefined;
    const key = JSON.stringify([node, flags.ignoreCase, flags.dotAll]);
    const known = this.sets.get(key);
    if (known) return known;
    const set = new CharacterSet(
      node.type === "Character"
        ? characterOf(node.value, flags.ignoreCase)
        : node.type === "CharacterClass"
          ? classOf(node, flags.ignoreCase)
          : node.kind === "dot" && flags.dotAll
            ? () => true
            : setOf(node),
    );
    this.sets.set(key, set);
    return set;
  }

  private quantifier({ kind, min, max, body }: QuantifierNode, flags: Flags, depth: number): void {
    const set = this.setOf(body, flags);
    const most = max ?? Number.POSITIVE_INFINITY;
    if (set && kind !== "lazy") {
      this.add({ op: "loop", set, min, max: most, atomic: kind === "possessive" });
      return;
    }
    if (kind === "possessive") this.keep(() => this.repeat({ min, max: most, lazy: false, body }, flags, depth));
    else this.repeat({ min, max: most, lazy: kind === "lazy", body }, flags, depth);
  }

  private repeat(
    { min, max, lazy, body }: { min: number; max: number; lazy: boolean; body: AlternativeElementNode },
    flags: Flags,
    depth: number,
  ): void {
    if (depth > DEEPEST) throw this.unsupported(`more than ${DEEPEST} groups within each other`);
    for (let i = 0; i < min; i++) this.element(body, flags, depth + 1);
    if (Number.isFinite(max)) {
      const splits: (Instruction & { op: "split" })[] = [];
      for (let i = min; i < max; i++) {
        splits.push(this.split());
        this.element(body, flags, depth + 1);
      }
      for (const split of splits) this.leave(split, lazy);
      return;
    }
    const to = this.program.length;
    const split = this.split();
    const register = this.registers++;
    this.add({ op: "round", register });
    this.element(body, flags, depth + 1);
    this.add({ op: "again", register, to });
    this.leave(split, lazy);
  }

  /** The split's other way leads here; of a lazy one it is the first to be tried. */
  private leave(split: Instruction & { op: "split" }, lazy: boolean): void {
    const inside = split.first;
    split.first = lazy ? this.program.length : inside;
    split.second = lazy ? inside : this.program.length;
  }

  private keep(body: () => void): void {
    const keep: Instruction & { op: "keep" } = { op: "keep", body: this.program.length + 1, next: 0 };
    this.add(keep);
    body();
    this.add({ op: "end" });
    keep.next = this.program.length;
  }

  private look({ kind, negate, body }: LookaroundAssertionNode, flags: Flags, depth: number): void {
    const ahead = kind === "lookahead";
    const lengths = ahead ? [0] : [...new Set(body.map((alternative) => this.length(alternative.body)))];
    if (lengths.length > 1) throw this.unsupported("lookbehind of several lengths");
    const look: Instruction & { op: "look" } = {
      op: "look",
      negate,
      behind: lengths[0],
      body: this.program.length + 1,
      next: 0,
    };
    this.add(look);
    this.alternatives(body, flags, depth + 1);
    this.add({ op: "end" });
    look.next = this.program.length;
  }

  /** Characters that nodes take, always as many. */
  private length(nodes: readonly AlternativeElementNode[]): number {
    return nodes.reduce((sum, node) => {
      switch (node.type) {
        case "Character":
        case "CharacterClass":
        case "CharacterSet":
          return sum + 1;
        case "Assertion":
        case "LookaroundAssertion":
          return sum;
        case "Quantifier":
          if (node.min === node.max) return sum + node.min * this.length([node.body]);
          break;
        case "Group":
        case "CapturingGroup": {
          const lengths = new Set(node.body.map((alternative) => this.length(alternative.body)));
          if (lengths.size === 1) return sum + [...lengths][0];
        }
      }
      throw this.unsupported("lookbehind of several lengths");
    }, 0);
  }

  private placeOf({ kind, negate }: AssertionNode): Place {
    switch (kind) {
      case "line_start":
        return "lineStart";
      case "line_end":
        return "lineEnd";
      case "string_start":
        return "textStart";
      case "string_end":
        return "textEnd";
      case "string_end_newline":
        return "textEndLine";
      case "word_boundary":
        return negate ? "noWord" : "word";
      default:
        throw this.unsupported(kind);
    }
  }

  /** Oniguruma lets "ss" match "ß" where case is ignored; here one character is one. */
  private refuseFolds(nodes: readonly AlternativeElementNode[]): void {
    const text = nodes.map((node) => (node.type === "Character" ? String.fromCodePoint(node.value) : "\n")).join("");
    const lower = text.toLowerCase();
    const expands = [...text].some((character) => character.toUpperCase().length > character.length);
    if (expands || /ss|ff|f[il]|st|i\u0307|\u02bcn/u.test(lower)) {
      throw this.unsupported(`${JSON.stringify(text)} where case is ignored`);
    }
  }

  private split(): Instruction & { op: "split" } {
    const split: Instruction & { op: "split" } = { op: "split", first: this.program.length + 1, second: 0 };
    this.add(split);
    return split;
  }

  private jump(): Instruction & { op: "jump" } {
    const jump: Instruction & { op: "jump" } = { op: "jump", to: 0 };
    this.add(jump);
    return jump;
  }

  private add(instruction: Instruction): void {
    if (this.program.length >= MOST_INSTRUCTIONS) throw this.unsupported("so many repetitions");
    this.program.push(instruction);
  }

  private unsupported(what: string): UnsupportedError {
    return new UnsupportedError(
      `tokenizer.json: the expression ${JSON.stringify(this.source.slice(0, 200))} has ${what}, which isn't supported.`,
    );
  }
}
