/** The tree of a parsed template. Chains of operators are flat, so that a long one costs no depth. */
import type { Value } from "./values.js";

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly { readonly name: string; readonly value: Expression }[];
  /** `*values` and `**values`. */
  readonly spread: Expression | undefined;
  readonly spreadNamed: Expression | undefined;
}

export type ArithmeticOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type CompareOperator = "==" | "!=" | "<" | ">" | "<=" | ">=" | "in" | "not in";

export interface Operand<Operator> {
  readonly operator: Operator;
  readonly value: Expression;
}

export type Call = { readonly kind: "call"; readonly callee: Expression; readonly args: Arguments };

export type Expression = { readonly line: number } & (
  | { readonly kind: "constant"; readonly value: Value }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly { readonly key: Expression; readonly value: Expression }[] }
  | { readonly kind: "concat"; readonly parts: readonly Expression[] }
  | { readonly kind: "and" | "or"; readonly parts: readonly Expression[] }
  | { readonly kind: "arithmetic"; readonly first: Expression; readonly rest: readonly Operand<ArithmeticOperator>[] }
  | { readonly kind: "compare"; readonly first: Expression; readonly rest: readonly Operand<CompareOperator>[] }
  | { readonly kind: "sign"; readonly negative: boolean; readonly value: Expression }
  | { readonly kind: "not"; readonly value: Expression }
  | {
      readonly kind: "choice";
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    }
  | { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
  | { readonly kind: "item"; readonly object: Expression; readonly index: Expression }
  | {
      readonly kind: "slice";
      readonly object: Expression;
      readonly start: Expression | undefined;
      readonly stop: Expression | undefined;
      readonly step: Expression | undefined;
    }
  | Call
  /** Without a value: the body of the block that the filter belongs to. */
  | {
      readonly kind: "filter";
      readonly value: Expression | undefined;
      readonly name: string;
      readonly args: Arguments;
    }
  | { readonly kind: "test"; readonly value: Expression; readonly name: string; readonly args: Arguments }
);

export type CallExpression = Extract<Expression, { kind: "call" }>;

export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "member"; readonly object: string; readonly name: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

export interface MacroDefinition {
  readonly name: string;
  readonly parameters: readonly { readonly name: string; readonly value: Expression | undefined }[];
  readonly body: readonly Statement[];
  /** Which of `caller`, `kwargs`, `varargs` the body asks for. */
  readonly uses: ReadonlySet<string>;
}

export interface ForLoop {
  readonly kind: "for";
  readonly target: Target;
  readonly iterable: Expression;
  readonly test: Expression | undefined;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

export type Statement = { readonly line: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly values: readonly Expression[] }
  | ForLoop
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "setBlock";
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: readonly Statement[];
    }
  | { readonly kind: "macro"; readonly definition: MacroDefinition }
  | { readonly kind: "callBlock"; readonly definition: MacroDefinition; readonly call: CallExpression }
  | { readonly kind: "filterBlock"; readonly filter: Expression; readonly body: readonly Statement[] }
  | {
      readonly kind: "with";
      readonly bindings: readonly { readonly target: Target; readonly value: Expression }[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: "block"; readonly name: string; readonly scoped: boolean; readonly body: readonly Statement[] }
  /** A body with a scope of its own and nothing else. */
  | { readonly kind: "scope"; readonly body: readonly Statement[] }
  | { readonly kind: "break" | "continue" }
  /** What Jinja2 has and Sluice has not; fails where it is reached. */
  | { readonly kind: "unsupported"; readonly what: string }
);

export interface Template {
  readonly body: readonly Statement[];
  readonly blocks: ReadonlyMap<string, readonly Statement[]>;
}
