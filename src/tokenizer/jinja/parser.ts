/** Statements of templates: Jinja2's own, `break` and `continue`, and Transformers' `generation`. */
import { ExpressionParser } from "./expression-parser.js";
import { broken } from "./fault.js";
import { type Token, tokenize } from "./lexer.js";
import type { Expression, MacroDefinition, Statement, Target, Template } from "./syntax.js";
import { TokenStream } from "./token-stream.js";

/** @throws Fault for a template that is broken or has a part that Sluice does not know */
export function parseTemplate(source: string): Template {
  return new Parser(new TokenStream(tokenize(source))).template();
}

const NOT_ASSIGNABLE: ReadonlySet<string> = new Set(["true", "false", "none", "True", "False", "None"]);
const IMPLICIT = ["caller", "kwargs", "varargs"];
/** Parts of Jinja2 that need other templates. */
const OTHER_TEMPLATES: ReadonlySet<string> = new Set(["include", "import", "from", "extends"]);

class Parser {
  private readonly tokens: TokenStream;
  private readonly expressions: ExpressionParser;
  private readonly blocks = new Map<string, readonly Statement[]>();
  /** For each macro that is open: names that it reads before it sets them, and names that it sets. */
  private readonly macros: { readonly read: Set<string>; readonly set: Set<string> }[] = [];
  private loops = 0;

  private readonly tags: Readonly<Record<string, (line: number) => Statement>> = {
    for: (line) => this.for(line),
    if: (line) => this.if(line),
    set: (line) => this.set(line),
    macro: (line) => this.macro(line),
    call: (line) => this.call(line),
    filter: (line) => this.filter(line),
    with: (line) => this.with(line),
    block: (line) => this.block(line),
    generation: (line) => ({ kind: "scope", body: this.apart(() => this.bodyUpTo("endgeneration")), line }),
    autoescape: (line) => this.autoescape(line),
    print: (line) => ({ kind: "print", values: this.printed(), line }),
    break: (line) => this.jump("break", line),
    continue: (line) => this.jump("continue", line),
  };

  constructor(tokens: TokenStream) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens, (name) => {
      for (const { read, set } of this.macros) if (!set.has(name)) read.add(name);
    });
  }

  template(): Template {
    const body = this.body([]);
    return { body, blocks: this.blocks };
  }

  /** Statements up to a block that begins with one of `ends`, whose name is left to be read. */
  private body(ends: readonly string[]): Statement[] {
    const tokens = this.tokens;
    const body: Statement[] = [];
    for (;;) {
      const { kind, text, line } = tokens.current;
      if (kind === "end") {
        if (ends.length === 0) return body;
        throw broken(`the template ends where ${ends.join(" or ")} was expected.`, line);
      }
      tokens.next();
      if (kind === "text") body.push({ kind: "text", text, line });
      else if (kind === "printBegin") {
        body.push({ kind: "print", values: [this.expressions.tuple()], line });
        tokens.expect("printEnd");
      } else if (ends.includes(tokens.current.text) && tokens.is("name")) return body;
      else body.push(this.statement());
    }
  }

  private bodyUpTo(end: string): Statement[] {
    this.tokens.expect("blockEnd");
    const body = this.body([end]);
    this.tokens.next();
    return body;
  }

  private statement(): Statement {
    const { text, line }: Token = this.tokens.expect("name");
    if (OTHER_TEMPLATES.has(text)) return this.otherTemplate(text, line);
    const parse = Object.hasOwn(this.tags, text) ? this.tags[text] : undefined;
    if (!parse) throw broken(`unknown tag ${JSON.stringify(text)}.`, line);
    const statement = this.tokens.nested(() => parse(line));
    this.tokens.expect("blockEnd");
    return statement;
  }

  private otherTemplate(tag: string, line: number): Statement {
    while (!this.tokens.is("blockEnd") && !this.tokens.is("end")) this.tokens.next();
    this.tokens.expect("blockEnd");
    return { kind: "unsupported", what: `{% ${tag} %}: a chat template stands alone.`, line };
  }

  private for(line: number): Statement {
    const tokens = this.tokens;
    const target = this.target({ tuple: true });
    tokens.expect("name", "in");
    const iterable = this.expressions.tuple({ choice: false });
    const test = tokens.skip("name", "if") ? this.expressions.expression() : undefined;
    const recursive = tokens.skip("name", "recursive");
    tokens.expect("blockEnd");
    this.loops++;
    const body = this.body(["endfor", "else"]);
    this.loops--;
    const otherwise = tokens.next().text === "else" ? this.bodyUpTo("endfor") : [];
    if (containsLoop(target)) throw broken("a loop can't set the variable named loop.", line);
    return { kind: "for", target, iterable, test, recursive, body, otherwise, line };
  }

  private if(line: number): Statement {
    const tokens = this.tokens;
    const branches: { test: Expression; body: Statement[] }[] = [];
    for (;;) {
      const test = this.expressions.tuple({ choice: false });
      tokens.expect("blockEnd");
      branches.push({ test, body: this.body(["elif", "else", "endif"]) });
      const { text } = tokens.next();
      if (text === "elif") continue;
      return { kind: "if", branches, otherwise: text === "else" ? this.bodyUpTo("endif") : [], line };
    }
  }

  private set(line: number): Statement {
    const target = this.target({ tuple: true, members: true });
    if (this.tokens.skip("operator", "=")) return { kind: "set", target, value: this.expressions.tuple(), line };
    const filter = this.tokens.skip("operator", "|") ? this.filters() : undefined;
    return { kind: "setBlock", target, filter, body: this.bodyUpTo("endset"), line };
  }

  private macro(line: number): Statement {
    const name = this.name();
    return { kind: "macro", definition: this.definition(name, "endmacro"), line };
  }

  private call(line: number): Statement {
    const macro = this.openMacro();
    const parameters = this.tokens.isOperator("(") ? this.parameters() : [];
    this.macros.pop();
    const call = this.expressions.expression();
    if (call.kind !== "call") throw broken("a call block needs a call.", line);
    this.macros.push(macro);
    const body = this.apart(() => this.bodyUpTo("endcall"));
    this.macros.pop();
    return {
      kind: "callBlock",
      definition: { name: "caller", parameters, body, uses: implicit(macro.read) },
      call,
      line,
    };
  }

  private definition(name: string, end: string): MacroDefinition {
    const macro = this.openMacro();
    const parameters = this.parameters();
    const body = this.apart(() => this.bodyUpTo(end));
    this.macros.pop();
    return { name, parameters, body, uses: implicit(macro.read) };
  }

  private openMacro() {
    const macro = { read: new Set<string>(), set: new Set<string>() };
    this.macros.push(macro);
    return macro;
  }

  private parameters(): MacroDefinition["parameters"] {
    const tokens = this.tokens;
    const parameters: { name: string; value: Expression | undefined }[] = [];
    tokens.expect("operator", "(");
    while (!tokens.skip("operator", ")")) {
      if (parameters.length > 0) tokens.expect("operator", ",");
      const { line } = tokens.current;
      const name = this.name();
      const value = tokens.skip("operator", "=") ? this.expressions.expression() : undefined;
      if (value === undefined && parameters.at(-1)?.value !== undefined) {
        throw broken("a parameter without a default value follows one with.", line);
      }
      parameters.push({ name, value });
    }
    return parameters;
  }

  private filter(line: number): Statement {
    const filter = this.filters();
    return { kind: "filterBlock", filter, body: this.bodyUpTo("endfilter"), line };
  }

  private filters(): Expression {
    return this.expressions.filters(undefined, Number.POSITIVE_INFINITY);
  }

  private with(line: number): Statement {
    const bindings: { target: Target; value: Expression }[] = [];
    while (!this.tokens.is("blockEnd")) {
      if (bindings.length > 0) this.tokens.expect("operator", ",");
      const target = this.target({});
      this.tokens.expect("operator", "=");
      bindings.push({ target, value: this.expressions.expression() });
    }
    return { kind: "with", bindings, body: this.bodyUpTo("endwith"), line };
  }

  private block(line: number): Statement {
    const tokens = this.tokens;
    const name = tokens.expect("name").text;
    if (this.blocks.has(name)) throw broken(`the block ${name} is there twice.`, line);
    this.blocks.set(name, []);
    const scoped = tokens.skip("name", "scoped");
    if (tokens.is("name", "required")) throw broken("a required block needs another template.", line);
    const body = this.apart(() => this.bodyUpTo("endblock"));
    tokens.skip("name", name);
    this.blocks.set(name, body);
    return { kind: "block", name, scoped, body, line };
  }

  private autoescape(line: number): Statement {
    const on = this.expressions.expression();
    const body = this.bodyUpTo("endautoescape");
    if (on.kind === "constant" && on.value === false) return { kind: "scope", body, line };
    return { kind: "unsupported", what: "{% autoescape true %}.", line };
  }

  private printed(): Expression[] {
    const values: Expression[] = [];
    while (!this.tokens.is("blockEnd")) {
      if (values.length > 0) this.tokens.expect("operator", ",");
      values.push(this.expressions.expression());
    }
    return values;
  }

  private jump(kind: "break" | "continue", line: number): Statement {
    if (this.loops === 0) throw broken(`${kind} outside of a loop.`, line);
    return { kind, line };
  }

  /** A body that is a function of its own: no loop around it can be left from inside. */
  private apart<T>(parse: () => T): T {
    const loops = this.loops;
    this.loops = 0;
    const parsed = parse();
    this.loops = loops;
    return parsed;
  }

  private target({ tuple = false, members = false }): Target {
    const tokens = this.tokens;
    const items: Target[] = [];
    let isTuple = false;
    while (!tokens.is("name", "in") && !tokens.isOperator(")")) {
      items.push(this.oneTarget(members));
      if (!tuple || !tokens.skip("operator", ",")) break;
      isTuple = true;
      if (tokens.isOperator("=") || tokens.is("blockEnd")) break;
    }
    if (items.length === 0) throw tokens.unexpected("a name");
    return isTuple ? { kind: "tuple", items } : items[0];
  }

  private oneTarget(members: boolean): Target {
    const tokens = this.tokens;
    if (tokens.skip("operator", "(")) {
      const inside = tokens.nested(() => this.target({ tuple: true, members }));
      tokens.expect("operator", ")");
      return inside;
    }
    if (members && tokens.following.kind === "operator" && tokens.following.text === ".") {
      const object = tokens.expect("name").text;
      tokens.next();
      return { kind: "member", object, name: tokens.expect("name").text };
    }
    return { kind: "name", name: this.name() };
  }

  /** A name that gets a value. */
  private name(): string {
    const { text, line } = this.tokens.expect("name");
    if (NOT_ASSIGNABLE.has(text)) throw broken(`${text} can't be set.`, line);
    for (const { read, set } of this.macros) if (!read.has(text)) set.add(text);
    return text;
  }
}

function implicit(read: ReadonlySet<string>): ReadonlySet<string> {
  return new Set(IMPLICIT.filter((name) => read.has(name)));
}

function containsLoop(target: Target): boolean {
  return target.kind === "tuple" ? target.items.some(containsLoop) : target.name === "loop";
}
