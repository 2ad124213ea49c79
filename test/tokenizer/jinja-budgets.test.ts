/** Templates come from model files: whatever they say, a render ends soon, in little memory, with a typed error. */
import { describe, expect, it } from "vitest";
import { ChatTemplate } from "../../src/tokenizer/chat-template.js";
import { FormatError, SluiceError } from "../../src/util/errors.js";

/** Steps enough, and a fifth of a second: what is under test here is that the clock is asked. */
const render = (source: string, milliseconds = 200) => new ChatTemplate(source, {}, undefined, milliseconds).render([]);

/** Doubles a value, by default up to half of the longest text. */
const doubled = (start: string, times = 20) =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(${times}) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`;
const big = doubled("'a'");
const thousands = "{% for i in range(100000) %}";
const many = (count: number, text: string) => text.repeat(count);

const REFUSED: readonly (readonly [string, string])[] = [
  [
    "nested empty ranges",
    `${many(6, "{% for i in range(99999) %}{% for j in range(0) %}{% endfor %}")}${many(6, "{% endfor %}")}`,
  ],
  ["a large text changed 100,000 times", `${big}${thousands}{{ (ns.x|upper)[0] }}{% endfor %}`],
  ["a large text searched 100,000 times", `${big}${thousands}{% if 'b' in ns.x %}{% endif %}{% endfor %}`],
  ["a large text written 100,000 times", `${big}${thousands}{{ ns.x }}{% endfor %}`],
  ["a large text compared 100,000 times", `${big}${thousands}{% if ns.x < ns.x ~ 'a' %}{% endif %}{% endfor %}`],
  [
    "lists that hold one twice, printed",
    `{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}`,
  ],
  [
    "lists that hold one twice, compared",
    `{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}`,
  ],
  [
    "tuples that hold one twice as keys",
    `{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}`,
  ],
  [
    "deep lists, printed",
    `{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}`,
  ],
  [
    "deep lists as JSON",
    `{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}`,
  ],
  [
    "deep tuples as keys",
    `{% set ns = namespace(x=()) %}{% for i in range(100000) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}`,
  ],
  ["a namespace that contains itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}"],
  ["a wide number", "{{ '%1000000000d' % 1 }}"],
  ["a wide text", "{{ '%1000000000s' % 'a' }}"],
  ["a precise number", "{{ '%.1000000000f' % 1 }}"],
  ["a wide field", "{{ '{:1000000000}'.format(1) }}"],
  ["a wide field of groups", "{{ '{:050000000,}'.format(1) }}"],
  ["a text times a number", "{{ 'ab' * 10**9 }}"],
  ["a text times a larger number", "{{ 'ab' * 10**30 }}"],
  ["a list times a number", "{{ [1] * 10**9 }}"],
  ["a power", "{{ 10**(10**10) }}"],
  [
    "powers of powers",
    "{% set ns = namespace(x=9**9) %}{% for i in range(99) %}{% set ns.x = ns.x ** 99 %}{% endfor %}",
  ],
  ["center", "{{ 'x'.center(10**9) }}"],
  ["center as a filter", "{{ 'x'|center(10**9) }}"],
  ["zfill", "{{ 'x'.zfill(10**9) }}"],
  ["tabs", "{{ '\\t'.expandtabs(10**9) }}"],
  ["a long range", "{{ range(10**9)|list }}"],
  ["a long range in a loop", "{% for i in range(10**12) %}{% endfor %}"],
  ["indenting far", "{{ 'a\\nb'|indent(10**9) }}"],
  ["indenting much", `${doubled("'a\\n'")}{{ ns.x|indent(1000) }}`],
  ["JSON indented far", "{{ [1]|tojson(indent=10**9) }}"],
  ["batches", "{{ [1]|batch(10**9, 0)|list }}"],
  ["slices", "{{ [1]|slice(10**9)|list }}"],
  ["replacing by more", `${doubled("'a'")}{{ ns.x|replace('a', 'a' * 1000) }}`],
  ["replacing nothing by more", `${doubled("'a'")}{{ ns.x.replace('', 'a' * 1000) }}`],
  ["joining with much", `{{ range(100000)|join('a' * 100000) }}`],
  ["doubling a list", doubled("[1]", 22)],
  ["doubling a text", doubled("'a'", 22)],
  ["mapping without end", `{% set l = range(100000)|list %}${thousands}{{ l|map('string')|join|length }}{% endfor %}`],
  [
    "sorting again and again",
    `{% set l = range(100000)|list %}${thousands}{{ l|sort(reverse=true)|first }}{% endfor %}`,
  ],
  ["wrapping a long word", `${big}{{ ns.x|wordwrap(1)|length }}`],
  ["a long text as many keys", `${big}{{ ([ns.x] * 3000000)|unique|list|length }}`],
  ["a long text looked up many times", `${big}{{ ([{}] * 3000000)|map(attribute=ns.x)|select|list|length }}`],
  ["a long text got many times", `${big}${thousands}{{ {}.get(ns.x ~ i) }}{% endfor %}`],
  ["a long text begun with many", `${big}{{ ns.x.startswith((ns.x[1:] ~ 'b',) * 500000) }}`],
  ["letters beyond the first plane, sliced", `${doubled("'😀'", 19)}${thousands}{{ ns.x[:1] }}{% endfor %}`],
  [
    "lists that hold one twice, printed well",
    `{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|pprint }}`,
  ],
  [
    "dicts that hold one twice, printed well",
    `{% set ns = namespace(x={}) %}{% for i in range(60) %}{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}{{ ns.x|pprint }}`,
  ],
  ["a long format of a time", "{{ strftime_now('%c' * 400000) }}"],
  ["wide fields of a time", "{{ strftime_now('%999n' * 400000) }}"],
  ["many precise numbers", "{{ '%.999d' * 300000 % ((1,) * 300000) }}"],
  ["a macro that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"],
  ["a macro that calls itself with more", "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('ab') }}"],
  ["a call block that calls itself", "{% macro f() %}{% call f() %}{% endcall %}{{ caller() }}{% endmacro %}{{ f() }}"],
  ["a recursive loop without end", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"],
  ["a block in itself", "{% block b %}{{ self.b() }}{% endblock %}"],
  ["deep parentheses", `{{ ${many(100_000, "(")}1${many(100_000, ")")} }}`],
  ["deep lists", `{{ ${many(100_000, "[")}${many(100_000, "]")} }}`],
  ["deep dicts", `{{ ${many(100_000, "{1:")}1${many(100_000, "}")} }}`],
  ["many nots", `{{ ${many(100_000, "not ")}1 }}`],
  ["many signs", `{{ ${many(100_000, "-")}1 }}`],
  ["many choices", `{{ ${many(100_000, "1 if 1 else ")}1 }}`],
  ["many attributes", `{{ x${many(100_000, ".x")} }}`],
  ["many calls", `{{ x${many(100_000, "()")} }}`],
  ["many filters", `{{ 1${many(100_000, "|abs")} }}`],
  ["many blocks inside each other", `${many(100_000, "{% if 1 %}")}${many(100_000, "{% endif %}")}`],
  ["deep targets", `{% for ${many(100_000, "(")}x${many(100_000, ")")} in [] %}{% endfor %}`],
  ["a template of 3 MB", many(3_000_000, "a")],
  ["a number of a million digits", `{{ ${many(1_000_000, "9")} }}`],
  ["many opened comments", many(400_000, "{#")],
  ["many opened raw blocks", many(100_000, "{% raw %}")],
];

const RENDERED: readonly (readonly [string, string, string])[] = [
  ["40,000 blank lines", `a${many(40_000, "\n")}{%- if true %}b{% endif %}`, "ab"],
  ["40,000 blank lines after", `{% if true -%}${many(40_000, "\n")}b{% endif %}`, "b"],
  ["40,000 blanks, none of them before a block", many(40_000, " \n "), many(40_000, " \n ")],
  ["a long chain of ~", `{{ 1${many(20_000, " ~ 1")} }}`, many(20_001, "1")],
  ["a long sum", `{{ 1${many(20_000, " + 1")} }}`, "20001"],
  ["a long chain of and", `{{ 1${many(20_000, " and 1")} }}`, "1"],
  ["a long chain of comparisons", `{{ 1${many(20_000, " == 1")} }}`, "True"],
  ["a long list", `{{ [${many(20_000, "1,")}]|length }}`, "20000"],
  [
    "macros inside each other",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% endif %}x{% endmacro %}{{ f(100)|length }}",
    "101",
  ],
  ["a long needle that is nearly there", "{{ ('a' * 1000000).find('a' * 500000 ~ 'b') }}", "-1"],
  ["a long needle that is nearly there, from the right", "{{ ('a' * 1000000).rfind('a' * 500000 ~ 'b') }}", "-1"],
  ["a long needle with its odd letter inside", `{{ 'a' * 400000 ~ 'b' ~ 'a' * 400000 in 'a' * 1500000 }}`, "False"],
  [
    "a long needle that is there",
    "{% set n = 'a' * 300000 ~ 'b' %}{% set t = 'a' * 500000 ~ 'b' ~ n %}" +
      "{{ t.find(n) }} {{ t.rfind(n) }} {{ t.count(n) }} {{ t.replace(n, '-')|length }} {{ t.split(n)|map('length')|join(',') }} " +
      "{{ t.rsplit(n, 1)|map('length')|join(',') }} {{ t.rpartition(n)|map('length')|join(',') }}",
    "200000 500001 2 200002 200000,0,0 500001,0 500001,300001,0",
  ],
  ["a format of many values", "{{ ('%s' * 300000 % ((1,) * 300000))|length }}", "300000"],
  ["a hundred thousand numbers", "{{ range(100000)|list|sort(reverse=true)|join(',')|length }}", "588889"],
];

describe("a hostile template is refused", () => {
  it.each(REFUSED)("%s", (_name, source) => {
    expect(() => render(source)).toThrow(SluiceError);
  });
});

describe("a long template is rendered", () => {
  it.each(RENDERED)("%s", (_name, source, text) => {
    expect(render(source, 60_000)).toBe(text);
  });
});

describe("an error says where", () => {
  it("of a broken template", () => {
    expect(() => render("a\nb\n{% if %}")).toThrow(FormatError);
    expect(() => render("a\nb\n{% if %}")).toThrow(/line 3/);
  });

  it("of a template that fails", () => {
    expect(() => render("a\n{{ 1 }}\n{{ missing.name }}")).toThrow(/line 3.*'missing' is undefined/);
  });
});

describe("check", () => {
  const loops = `${many(4, "{% for i in range(1000) %}")}x${many(4, "{% endfor %}")}`;
  const builtins = [
    ["loops", loops],
    ["sorting", `{% set l = range(100000)|list %}${thousands}{{ l|sort|first }}{% endfor %}`],
    ["large texts", `${big}${thousands}{{ ns.x|length }}{% endfor %}`],
  ] as const;

  it.each(builtins)("ends %s with what it throws, unchanged", (_name, source) => {
    const reason = new RangeError("enough");
    let calls = 0;
    const check = () => {
      if (++calls === 3) throw reason;
    };
    let thrown: unknown;
    try {
      new ChatTemplate(source, {}).render([], { check });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBe(reason);
    expect(calls).toBe(3);
  });
});
