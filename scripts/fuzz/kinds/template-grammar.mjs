// Grows Jinja by a grammar that knows what engines stumble over; and programs that take all that they are given.

const NAMES = `
  messages m x bos_token eos_token tools loop ns add_generation_prompt none true False undefined_name self range
  namespace dict cycler joiner lipsum raise_exception strftime_now caller varargs __proto__ constructor
`
  .trim()
  .split(/\s+/);
const MEMBERS = `
  role content index index0 last first length items keys values get split strip upper replace startswith join
  append format previtem cycle text __class__ __proto__ constructor prototype title lstrip count find splitlines
  pop update
`
  .trim()
  .split(/\s+/);
const FILTERS = [
  "trim",
  "upper",
  "lower",
  "length",
  "tojson",
  "tojson(indent=4)",
  "join(',')",
  "first",
  "last",
  "default('d')",
  "default('d', true)",
  "int",
  "float",
  "string",
  "list",
  "reverse",
  "sort",
  "unique",
  "map('upper')",
  "map(attribute='role')",
  "select('string')",
  "selectattr('role', 'equalto', 'user')",
  "rejectattr('role')",
  "dictsort",
  "items",
  "indent(4)",
  "indent(1000000)",
  "replace('a', 'aaaa')",
  "safe",
  "abs",
  "round(2)",
  "batch(2)",
  "batch(0)",
  "slice(3)",
  "sum",
  "groupby('role')",
  "center(20)",
  "center(1000000000)",
  "truncate(5)",
  "wordwrap(3)",
  "wordcount",
  "capitalize",
  "title",
  "striptags",
  "escape",
  "e",
  "urlencode",
  "format(1, 2)",
  "min",
  "max",
  "random",
  "filesizeformat",
  "pprint",
  "attr('x')",
  "unheard",
  "xmlattr",
  "count",
  "tojson|tojson|tojson",
];
const TESTS = [
  "defined",
  "undefined",
  "none",
  "string",
  "number",
  "mapping",
  "iterable",
  "sequence",
  "boolean",
  "true",
  "false",
  "integer",
  "float",
  "callable",
  "odd",
  "even",
  "divisibleby(0)",
  "divisibleby(2)",
  "equalto(1)",
  "eq(1)",
  "in([1])",
  "lower",
  "upper",
  "sameas(none)",
  "unheard",
  "ge(3)",
  "not none",
];
const BINARY = [
  "+",
  "-",
  "*",
  "/",
  "//",
  "%",
  "**",
  "~",
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "and",
  "or",
  "in",
  "not in",
  "is",
  "|",
  ".",
  "",
];
const LITERALS = [
  "0",
  "1",
  "-1",
  "2.5",
  "1e308",
  "1000000000",
  "99999999999999999999",
  "''",
  "'a'",
  '"b\\n"',
  "'{{'",
  "[]",
  "{}",
  "[1, 2, 3]",
  "(1, 2)",
  "{'a': 1}",
  "{1: 2}",
  "[[]]",
  "true",
  "none",
  "'a' * 1000000000",
  "'ab' * 40000000",
  "[0] * 1000000000",
  "range(1000000000)",
  "range(1000000)",
  "range(10, 0, -1)",
  "range(0, 10, 0)",
  "10 ** 1000",
  "1 / 0",
  "1 // 0",
  "1 % 0",
  "''.join(messages)",
  "'x'.format()",
  "'%s' % 1",
  "'\ud83d\ude00'[0]",
  "'abc'[::-1]",
  "'abc'[::0]",
  "messages[99]",
  "messages[-1]",
  "messages[1:]",
];

export function expression(random, depth = 0) {
  if (depth > 4) return random.pick(LITERALS.slice(0, 20));
  const inner = () => expression(random, depth + 1);
  switch (random.below(14)) {
    case 0:
    case 1:
      return random.pick(LITERALS);
    case 2:
    case 3:
      return random.pick(NAMES);
    case 4:
      return `${inner()}.${random.pick(MEMBERS)}`;
    case 5:
      return `${inner()}[${random.pick([inner(), `'${random.pick(MEMBERS)}'`, ":", "1:", "::-1", `${inner()}:${inner()}`])}]`;
    case 6:
      return `${random.pick(NAMES)}(${random.times(random.below(3), inner).join(", ")})`;
    case 7:
      return `${inner()}.${random.pick(MEMBERS)}(${random.times(random.below(3), inner).join(", ")})`;
    case 8:
      return `${inner()} | ${random.pick(FILTERS)}`;
    case 9:
      return `(${inner()} is ${random.chance(0.2) ? "not " : ""}${random.pick(TESTS)})`;
    case 10:
      return `${inner()} if ${inner()} else ${inner()}`;
    case 11:
      return `${random.pick(["not ", "-", "+", "(", "- -"])}${inner()}`;
    default:
      return `${inner()} ${random.pick(BINARY)} ${inner()}`;
  }
}

const open = (random) => random.pick(["{%", "{%-", "{%", "{%+"]);
const close = (random) => random.pick(["%}", "-%}", "%}", "+%}"]);
const tag = (random, text) => `${open(random)} ${text} ${close(random)}`;

function statement(random, depth) {
  const body = () => block(random, depth + 1);
  const t = (text) => tag(random, text);
  const e = () => expression(random, 2);
  switch (random.below(14)) {
    case 0:
      return `${t(`if ${e()}`)}${body()}${random.chance(0.3) ? t(`elif ${e()}`) + body() : ""}${random.chance(0.3) ? t("else") + body() : ""}${t("endif")}`;
    case 1:
    case 2:
      return `${t(`for ${random.pick(["x", "m", "a, b", "x"])} in ${random.pick(["messages", "range(3)", "range(1000)", "[1,2,3]", e()])}${random.chance(0.2) ? ` if ${e()}` : ""}${random.chance(0.1) ? " recursive" : ""}`)}${body()}${random.chance(0.2) ? t("else") + body() : ""}${t("endfor")}`;
    case 3:
      return t(`set ${random.pick(["x", "ns.text", "a, b", "messages", "loop"])} = ${e()}`);
    case 4:
      return `${t(`set ${random.pick(["x", "x | upper"])}`)}${body()}${t("endset")}`;
    case 5:
      return `${t(`macro ${random.pick(["f", "g"])}(${random.pick(["", "x", "x, y=1", "x=messages"])})`)}${body()}${t("endmacro")}`;
    case 6:
      return `${t(`filter ${random.pick(FILTERS)}`)}${body()}${t("endfilter")}`;
    case 7:
      return `${t("call f()")}${body()}${t("endcall")}`;
    case 8:
      return t(
        random.pick([
          "break",
          "continue",
          "do x",
          "include 'x'",
          "extends 'x'",
          "import 'x' as y",
          "block b",
          "endfor",
          "endif",
          "else",
          "set",
          "for",
          "if",
          "raw",
          "autoescape true",
          "",
        ]),
      );
    case 9:
      return `{{ ${random.pick(["f", "g", "caller", "loop"])}(${e()}) }}`;
    case 10:
      return `{#${random.pick(["-", ""])} ${random.pick(["comment", "{{", "{#"])} #}`;
    case 11:
      return `${t("raw")}{{ ${random.pick(["x", "{%"])} }}${t("endraw")}`;
    default:
      return `{{ ${e()} }}`;
  }
}

export function block(random, depth = 0) {
  if (depth > 4) return "t";
  return random
    .times(random.pick([0, 1, 1, 2, 3]), () =>
      random.chance(0.3)
        ? random.pick(["text", "\n", "  \n  ", "\r\n", "{", "}}", "%}", "'"])
        : statement(random, depth),
    )
    .join("");
}

/** Small programs that take all the time or memory that they are given. */
export const GREEDY = [
  (n) =>
    `{% for a in range(${n}) %}{% for b in range(${n}) %}{% for c in range(${n}) %}{% endfor %}{% endfor %}{% endfor %}`,
  (n) => `{% set ns = namespace(t='a') %}{% for a in range(${n}) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}`,
  (n) =>
    `{% set ns = namespace(l=[]) %}{% for a in range(${n}) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}`,
  (n) => `{% macro f(x) %}{{ f(x) }}${"x".repeat(n % 50)}{% endmacro %}{{ f(1) }}`,
  (n) => `{% macro f(x) %}{% if x > 0 %}{{ f(x - 1) }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(${n}) }}`,
  (n) => `${"\n".repeat(n)}{{ 1 }}`,
  (n) => `${" \n".repeat(n)}{%- if 1 -%}${" \n".repeat(n)}{%- endif -%}`,
  (n) => `{{ ${"(".repeat(n)}1${")".repeat(n)} }}`,
  (n) => `{{ ${"[".repeat(n)}${"]".repeat(n)} }}`,
  (n) => `{{ ${"not ".repeat(n)}1 }}`,
  (n) => `{{ 1${" + 1".repeat(n)} }}`,
  (n) => `{{ x${".y".repeat(n)} }}`,
  (n) => `{{ 'a'${"|upper".repeat(n)} }}`,
  (n) => `{{ ${"1 if 1 else ".repeat(n)}2 }}`,
  (n) => "{% if 1 %}".repeat(n) + "{% endif %}".repeat(n),
  (n) => "{% for x in [1] %}".repeat(n) + "{% endfor %}".repeat(n),
  (n) => `{% set x = '${"a".repeat(n * 100)}' %}{% for i in range(${n}) %}{{ x }}{% endfor %}`,
  (n) => `{% set x = 'ab' * 10000000 %}{% for i in range(${n}) %}{{ x|replace('a', 'aaaa')|length }}{% endfor %}`,
  (n) => `{{ ('a' * ${n * 1000})|indent(${n}) }}`,
  (n) => `{{ (range(${n * 100})|list)|sort|join|length }}`,
  (n) => `{{ [${"[1],".repeat(n)}]|tojson(indent=${n}) }}`,
  (n) => `{{ messages|map('tojson')|join(',' * ${n * 1000}) }}`,
  (n) => `{{ ('%0' ~ ${n} ~ 'd') % 3 }}{{ '{:>${n}}'.format(3) }}`,
  (n) =>
    `{% set x = [1] %}{% for i in range(${n}) %}{% set _ = x.append(x) %}{% endfor %}{{ x|tojson }}{{ x }}{{ x == x }}`,
  (n) => "{% raw %}".repeat(n),
  (n) => "{#".repeat(n),
  (n) => "{{".repeat(n),
  (n) => `{{ '${"\\".repeat(n)}' }}`,
];
