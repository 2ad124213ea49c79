"""
Snippets of templates and what Jinja2 makes of them: `python3 snippets.py` writes snippets.json anew.
Each is rendered with VARIABLES; a date may be given with it.
"""

import json
import pathlib

from environment import render

VARIABLES = {
    "t": True,
    "f": False,
    "n": None,
    "i": 7,
    "neg": -3,
    "x": 2.5,
    "s": "Hello World",
    "empty": "",
    "uni": "héllo wörld ß",
    "astral": "a😀b𝒳c",
    "quotes": "it's \"so\"",
    "lines": "one\ntwo\n\nthree",
    "html": "<a href='x'>T&C</a>",
    "nums": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "none_list": [],
    "nested": [[1, 2], [3, [4, "x"]]],
    "d": {"b": 1, "a": 2, "C": [1, None]},
    "e": {},
    "people": [
        {"name": "Zoe", "age": 30, "tags": ["x"], "city": {"id": 2}},
        {"name": "adam", "age": 25, "tags": [], "city": {"id": 1}},
        {"name": "Bob", "age": 30, "city": {"id": 2}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]},
        {"role": "tool", "content": "42"},
    ],
}
NOW = (2024, 7, 4, 15, 5, 9)

GROUPS = {}


def group(name, *snippets):
    GROUPS[name] = snippets


def expressions(name, *sources):
    group(name, *("{{ " + source + " }}" for source in sources))


expressions(
    "literals",
    "1", "1_000", "0", "00", "007", "0x1F", "0b101", "0o17", "1.0", "1.50", "1e3", "1.5e-7", "1E5", "1e16", "1e15",
    "123456789012345678", "1e22", "1e-4", "1e-5", "0.0001", "0.00001", "1_0.2_5", "1e400", "-1e400", "1e400 - 1e400",
    "0.1 + 0.2", "1/3", "100.0", "-0.0", "2.5e10", "'a'", '"a"', "'a' 'b'", r"'a\nb'", r"'a\tb\\'", r"'\x41\u00e9\U0001F600'",
    r"'it\'s'", r"'\q'", r"'\é'", r"'\101'", "'a\nb'", "true", "True", "TRUE", "false", "none", "None", "NONE", "[]", "()", "(1)",
    "(1,)", "1, 2", "(1, 2,)", "[1, 'a', none, true, 1.0]", "{}", "{'a': 1, 'b': [2]}", "{1: 2, none: 3, 'x': {}}", "{'a': 1,}", "[1,]",
    "{1: 'a', 1.0: 'b', true: 'c'}", "99999999999999999999999999", "1.", "'unclosed", "1e", "1__0", "5 5", "{'a'}", "[1 2]", "@", "'a' +",
    "", "foo", "[foo]", "5.0", "1e100", "123456789.123456789", "3.14", "1e23", "5e-324", "1.7976931348623157e308",
)
expressions(
    "strings in lists and dicts",
    "['a']", "[\"it's\"]", "['say \"hi\"']", "[quotes]", r"['a\nb\t\\']", "['é😀']", r"['\x00\x7f\u200b\ufeff\u00a0']", "[uni]", "d", "nested",
    "[none, true, false]", "{'k': 'v'}", "[[['a']]]", "[1.0, 1e20, 0.1]", "('a', 'b')", "[()]", "[foo]", "{'a': foo}", "people[0]", "messages[2]",
    "[lines]", "['\\r']", "[range(3)]", "d.items()", "d.keys()", "d.values()", "[d.items()]", "range(5)", "range(1, 5)", "range(1, 5, 2)", "namespace(a=1)",
    "namespace(a='x', b=[1])", r"['\u2028']", r"['\U000e0001']", r"['\u0378']", "[empty]",
)
expressions(
    "arithmetic",
    "1 + 2", "7 - 10", "3 * 4", "7 / 2", "6 / 2", "7 // 2", "-7 // 2", "7 // -2", "-7 % 3", "7 % -3", "-7.5 % 2", "7.5 % -2", "7 % 3.0", "7.5 // 2",
    "-7.5 // 2", "2 ** 10", "2 ** -1", "2 ** 0.5", "2 ** 3 ** 2", "-2 ** 2", "(-2) ** 2", "-(2 ** 2)", "2 ** 100", "0 ** 0", "0.0 ** 0", "1 / 0", "1 // 0",
    "1 % 0", "1.0 / 0", "0 ** -1", "1 + 1.0", "1 - 1.0", "2 * 1.5", "true + true", "true * 3", "true / 2", "-true", "+true", "+5", "- -5", "--5", "-i", "i + x", "10 - 2 - 3",
    "2 * 3 % 4", "2 + 3 * 4", "(2 + 3) * 4", "10 / 4 * 2", "1 + 2 ~ 3", "1 ~ 2 + 3", "2 * 3 ~ 4", "'a' + 'b'", "'a' + 1", "1 + 'a'", "'ab' * 3", "3 * 'ab'", "'ab' * -1", "'ab' * 0",
    "'a' * 1.5", "[1] + [2]", "[1] * 3", "2 * [1, 2]", "(1,) + (2,)", "(1,) * 2", "[1] + (2,)", "'a' - 'b'", "none + 1", "foo + 1", "1 + foo", "'a' + foo", "-foo", "foo * 2", "-'a'",
    "[1] - [1]", "d + d", "1 if 0 else 2", "99999999999 * 99999999999", "-17 // 5", "-17 % 5", "17 % -5", "0 % 5", "5 % 5.0", "-0.0 % 5", "1e308 * 10", "10 ** 20", "10.0 ** 20",
    "1e16 + 1", "2 ** 0", "3 - -3", "3 -3", "3-3", "1.5 + 1", "1.0 * 3", "4 / 2", "4 // 2.0", "7 // 0.5", "true // 2", "1 - true", "5 // 3 * 3 + 5 % 3",
    "9007199254740993", "9007199254740993 + 0", "9007199254740993 * 1.0", "(1 / 3) * 3", "10 % 3.3", "2 ** 31", "2 ** 63 + 1", "-2 ** 63",
    "'%s' % 'a' + 'b'", "10 ** 400 / 1", "10 ** 5000", "1 / 3 ~ ''", "1.0 ~ 2", "[1] ~ 'x'", "none ~ none", "foo ~ 'x'", "'a' ~ 1 ~ true ~ 2.0", "1 ~ -1",
)
expressions(
    "comparison",
    "1 == 1", "1 == 1.0", "1 == true", "0 == false", "1 == '1'", "'1' == 1", "none == none", "none == false", "none == 0", "none == ''", "foo == foo", "foo == none", "foo == bar", "foo != none",
    "foo == ''", "foo == false", "[] == []", "[] == ()", "[1] == [1.0]", "(1,) == (1.0,)", "{} == {}", "{'a': 1} == {'a': 1.0}", "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "[1, [2]] == [1, [2]]",
    "1 < 2", "2 < 1.5", "'a' < 'b'", "'B' < 'a'", "'a' < 'ab'", "'' < 'a'", "[1, 2] < [1, 3]", "[1] < [1, 0]", "(1, 2) > (1,)", "1 < 'a'", "none < 1", "foo < 1", "[] < ()", "{} < {}", "true < 2",
    "1 < 2 < 3", "1 < 3 < 2", "3 > 2 >= 2 == 2", "1 == 1 == 1", "1 < 2 != 3", "1 != 1", "'a' != 'b'", "1 <= 1", "1 >= 2", "'😀' > '\uffff'", "'😀' < '😁'", "1 in [1]", "1.0 in [1]",
    "true in [1]", "'1' in [1]", "'a' in 'abc'", "'' in 'abc'", "'d' in 'abc'", "1 in 'abc'", "none in 'abc'", "foo in 'abc'", "'a' in foo", "'a' in none", "'a' in d", "1 in d", "'x' not in d",
    "'a' not in 'abc'", "not 'a' in 'abc'", "1 not in [1, 2]", "1 in (1, 2)", "3 in range(5)", "5 in range(5)", "[1] in [[1]]", "none in [none]", "foo in [foo]", "foo in [none]", "'a' in 'abc' == true",
    "1 in 1", "[] in d", "1 < 2 and 2 < 3", "1 == 1.0 == true", "'a' == 'a' ~ ''", "x == 2.5", "d == d", "d.keys() == d.keys()", "range(3) == range(3)", "(1 == 1) ~ ''", "1 is not none", "2 ** 53 == 2 ** 53 + 1.0",
    "10 ** 20 == 1e20", "nums == [3, 1, 2]", "'a' in ['a', 'b'] and 'c' not in ['a']", "('a', 1) in d.items()", "('b', 1) in d.items()", "1 in d.values()", "'b' in d.keys()", "'ab' in ['abc']", "not 1 == 2",
)
expressions(
    "logic",
    "true and false", "true or false", "not true", "not not true", "1 and 2", "0 and 2", "0 or 2", "'' or 'x'", "none or foo", "'' and 'x'", "[] or {}", "foo or 'x'", "not foo", "not ''", "not []", "not 0.0", "not 'a'",
    "not none", "1 or 1/0", "0 and 1/0", "true and not false", "not true or true", "not (true or true)", "1 if true else 2", "1 if false else 2", "1 if false", "(1 if false) is defined", "1 if true if false else 3",
    "1 if false else 2 if false else 3", "'a' if x > 2 else 'b'", "'a' if s", "[1 if t else 2]", "(1 if t else 2) + 1", "1 if none else 2", "1 if {} else 2", "true and 'a' or 'b'", "false or none", "not d", "not range(0)", "not namespace()",
    "1 and 2 and 3", "0 or '' or none or 4", "1 or 2 and 0", "t and n", "f or n", "i and i + 1", "empty or none_list", "1 if 1 else 2 if 1 else 3", "x if x is defined and x > 2 else 0",
)
expressions(
    "items and attributes",
    "nums[0]", "nums[-1]", "nums[5]", "nums[-5]", "nums['x']", "nums[1.0]", "nums[true]", "nums[none]", "s[0]", "s[-1]", "s[50]", "astral[1]", "astral[3]", "astral[-1]", "astral[-2]", "d['a']", "d.a", "d['zz']", "d.zz", "d.zz.y",
    "d['zz']['y']", "d.C[0]", "d.C[1]", "d.C.0", "nested.1.1.1", "nested[1][1][0]", "foo.bar", "foo['bar']", "foo[0]", "none.x", "none['x']", "i.x", "i['x']", "d['items']", "d.items is callable", "{'items': 1}.items is callable",
    "{'items': 1}['items']", "{'get': 5}['get']", "{1: 'a'}[1]", "{1: 'a'}[1.0]", "{1: 'a'}[true]", "{none: 'a'}[none]", "{(1, 2): 'a'}[(1, 2)]", "{(1, 2): 'a'}[1, 2]", "d[[]]", "{[]: 1}", "{{}: 1}", "s.upper()", "s['upper']()", "s.foo", "s.foo()",
    "i.real", "i.imag", "x.real", "i.bit_length()", "x.is_integer()", "2.0.is_integer()", "i.numerator", "[1,2].0", "[[1,2],[3]].0.1", "nums.length", "people[0].name", "people[0]['city'].id", "people[0].city['id']", "messages[-1].content",
    "messages[2].tool_calls[0].function.arguments.a", "range(10)[3]", "range(10)[-1]", "range(10)[20]", "(1, 2)[1]", "(1, 2)[2]", "s.__class__", "s.__class__.__mro__", "s.__len__()", "s['__class__']", "d._x", "d.__dict__", "nums.append(1)", "nums.append", "d.update({})",
    "d.pop('a')", "nums.sort()", "nums.extend", "d.clear is defined", "nums.copy()", "d.copy()", "d.get('a')", "d.get('zz')", "d.get('zz', 5)", "d.get('zz', default=5)", "d.get()", "d.get('zz').x", "nums.index(1)", "nums.index(9)", "nums.count(3)", "(1,1,2).count(1)",
    "(1,2).index(2)", "d.keys()|list", "d.values()|list", "d.items()|list", "nums()", "foo()", "none()", "'a'()", "d.zz()", "range(5).start", "dict(a=1, b='x')", "dict({'a': 1}, b=2)", "dict([('a', 1)])", "dict()", "dict(1)", "d.keys()[0]", "s.real",
    "true.real", "'abc'.index('c')", "nums | attr('x')", "'a'|attr('upper') is callable", "d|attr('a')", "d|attr('keys') is callable", "messages.0.role", "d.fromkeys", "x.hex",
)
expressions(
    "slices",
    "nums[1:]", "nums[:1]", "nums[:-1]", "nums[-2:]", "nums[::-1]", "nums[::2]", "nums[5:]", "nums[-9:9]", "nums[2:0:-1]", "nums[::0]", "s[1:4]", "s[::-1]", "s[-5:]", "s[:-6]", "s[::2]", "s[9:2:-2]", "astral[1:3]", "astral[::-1]", "astral[:2]", "uni[::-1]",
    "(1,2,3)[1:]", "(1,2,3)[::-1]", "range(10)[2:8:2]", "range(10)[::-1]", "range(10)[::-1]|list", "d[1:]", "n[1:]", "foo[1:]", "i[1:]", "nums[none:2]", "nums['a':]", "nums[1.0:]", "nums[true:]", "messages[1:]|length", "messages[:-1][-1].role", "nested[1:][0]", "''[1:]",
    "[][1:]", "s[3:][:2]", "nums[0:2][1]", "nums[:]", "s[:]", "nums[-1:]", "nums[:100]", "nums[100:]", "nums[-100:2]", "nums[2:-5:-1]", "nums[0:3:2]", "s[2:-2]", "nums[1:2, 0]",
)
expressions(
    "percent formatting",
    "'%s' % 'a'", "'%s-%s' % ('a', 1)", "'%d' % 5", "'%d' % 5.9", "'%d' % true", "'%5d|' % 42", "'%-5d|' % 42", "'%05d' % -42", "'%+d' % 5", "'% d' % 5", "'%x' % 255", "'%X' % 255", "'%#x' % 255", "'%o' % 8", "'%f' % 1.5", "'%.2f' % 2.675", "'%.0f' % 2.5", "'%.0f' % 0.5", "'%e' % 12345.678",
    "'%.3e' % 0", "'%g' % 0.0001", "'%g' % 1e10", "'%g' % 100000", "'%g' % 1000000", "'%.3g' % 1234.5", "'%G' % 1e-10", "'%r' % 'a'", "'%s' % none", "'%s' % true", "'%s' % [1]", "'%s' % [[1, 'a']]", "'%%' % ()", "'%s%%' % 5", "'%(a)s' % {'a': 1}", "'%(a)s %(b)03d' % {'a': 1, 'b': 2}", "'%5s|' % 'ab'",
    "'%-5s|' % 'ab'", "'%.1s' % 'ab'", "'%c' % 'a'", "'%c' % 97", "'%*d' % (5, 42)", "'%.*f' % (2, 3.14159)", "'%s %s' % 'a'", "'%s' % ('a', 'b')", "'a' % 1", "'a' % []", "'a' % {}", "'%d' % 'a'", "'%q' % 1", "'%' % 1", "'%s' % foo", "'%d' % foo", "'%s' % d", "'%s' % (d,)", "'%(a)s' % 1", "'%(zz)s' % d",
    "'%a' % 'é'", "'%08.3f' % 3.14159", "'%+.1f' % -0.05", "'%.2f' % 1e400", "'%5.1f|' % 2.25", "'%.1f' % 0.25", "'%.1f' % 0.35", "'%.20f' % 0.1", "'%i' % 3", "'%u' % 3", "'%s' | format('a')", "'%s %s'|format(1, 2)", "'%(x)s'|format(x=1)", "'%s'|format(1, x=2)", "'%.3d' % 5", "'%#o' % 8", "'%x' % -255",
    "'%x' % 1.5", "'%s' % 1.0", "'%s' % ()", "'%s' % ((1,2),)", "'%5s|' % '😀'", "'%e' % 0.000123", "'%E' % 1e100", "'%g' % 1e-5", "'%#g' % 1.0", "'%g' % 0", "'%d%s' % (1, 'x')",
)
expressions(
    "brace formatting",
    "'{}'.format(1)", "'{} {}'.format(1, 'a')", "'{0}{1}{0}'.format('a', 'b')", "'{a}'.format(a=1)", "'{a.b}'.format(a={'b': 1})", "'{a[b]}'.format(a={'b': 1})", "'{0[0]}'.format([5])", "'{{}}'.format()", "'{:>5}|'.format('a')", "'{:<5}|'.format('a')", "'{:^5}|'.format('a')", "'{:*^5}'.format('a')",
    "'{:5}|'.format(1)", "'{:05}'.format(-1)", "'{:,}'.format(1234567)", "'{:_}'.format(1234567)", "'{:.2f}'.format(3.14159)", "'{:.2%}'.format(0.1234)", "'{:x}'.format(255)", "'{:#x}'.format(255)", "'{:b}'.format(5)", "'{:o}'.format(8)", "'{:e}'.format(1234.5)", "'{:g}'.format(0.00001)", "'{:+}'.format(5)",
    "'{!r}'.format('a')", "'{!s:>4}'.format('a')", "'{}'.format()", "'{a}'.format()", "'{'.format()", "'}'.format()", "'{0} {}'.format(1)", "'{:d}'.format('a')", "'{:s}'.format(1)", "'{:.3}'.format('abcdef')", "'{:.3}'.format(1.23456)", "'{}'.format(none)", "'{}'.format([1, 'a'])", "'{:5}'.format(none)",
    "'{:{w}}|'.format('a', w=4)", "'{:,.2f}'.format(1234567.891)", "'{:>8.3f}'.format(2.0)", "'{:c}'.format(65)", "'{:010.3f}'.format(-3.14159)", "'{.real}'.format(5)", "'{0.__class__}'.format(1)", "'{:%}'.format(0.5)", "'{:g}'.format(1e20)", "'{}'.format(1.0)", "'{:.1f}'.format(0.05)", "'{:f}'.format(1)",
    "'{:d}'.format(1.5)", "'{:5d}|{:<5d}|'.format(1, 2)", "'{:=+5}'.format(1)", "'{:08,}'.format(1234)", "'{:.0f}'.format(1.5)", "'{:}'.format(1)", "'{a}'.format_map({'a': 1})", "'{:.2e}'.format(0.00012345)", "'{:n}'.format(5)", "'{:q}'.format(5)",
)
expressions(
    "text methods",
    "s.lower()", "s.upper()", "s.title()", "s.capitalize()", "s.swapcase()", "'hELLO wORLD'.capitalize()", "\"it's a dog's life\".title()", "'ß'.upper()", "uni.upper()", "'İ'.lower()", "'ΑΣ'.lower()", "' a '.strip()", "'xxaxx'.strip('x')", "'xyaxy'.lstrip('xy')", "'xyaxy'.rstrip('yx')", "'\\n a\\t'.strip()",
    "'aXbXc'.split('X')", "' a  b '.split()", "' a  b '.split(' ')", "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "'a b c'.split(none, 1)", "'a b c'.rsplit(none, 1)", "'a b c'.split(maxsplit=1)", "'abc'.split('')", "''.split()", "''.split(',')", "'a\\nb\\r\\nc\\n'.splitlines()", "'a\\nb'.splitlines(true)",
    "'abcabc'.find('c')", "'abcabc'.rfind('c')", "'abc'.find('z')", "'abc'.index('z')", "'abcabc'.find('a', 1)", "'abcabc'.count('bc')", "'aaa'.count('aa')", "'abc'.count('')", "'abc'.startswith('a')", "'abc'.startswith(('x', 'a'))", "'abc'.endswith('c')", "'abc'.endswith(('x',))", "'abc'.startswith('b', 1)",
    "'abc'.startswith('')", "'abc'.startswith(1)", "'abc'.replace('b', 'X')", "'aaa'.replace('a', 'b', 2)", "'abc'.replace('', '-')", "'abc'.replace('b', 1)", "'a-b-c'.partition('-')", "'a-b-c'.rpartition('-')", "'abc'.partition('-')", "'abc'.rpartition('-')", "'-'.join(['a', 'b'])", "'-'.join('abc')", "'-'.join([1])",
    "', '.join(d)", "'ab'.center(6)|list", "'ab'.center(5, '*')", "'abc'.center(6, '*')", "'ab'.ljust(4, '.')", "'ab'.rjust(4, '.')", "'42'.zfill(5)", "'-42'.zfill(5)", "'a\\tb'.expandtabs(4)", "'abc'.isalpha()", "'ab1'.isalpha()", "'12'.isdigit()", "''.isdigit()", "'½'.isnumeric()", "'²'.isdigit()", "'²'.isdecimal()",
    "'a1'.isalnum()", "' '.isspace()", "''.isspace()", "'ab'.islower()", "'AB'.isupper()", "'Ab Cd'.istitle()", "'aB'.istitle()", "'a_1'.isidentifier()", "'1a'.isidentifier()", "'é'.isascii()", "'a\\n'.isprintable()", "'prefix-x'.removeprefix('prefix-')", "'x.txt'.removesuffix('.txt')", "'abc'.removesuffix('')",
    "'Straße'.casefold()", "astral.find('b')", "astral.index('c')", "astral.upper()", "astral.center(9, '*')", "'😀😀'.count('😀')", "'a😀'.rjust(4, '.')", "'x'.join(['a', 'b', 'c']).upper()", "'abc'.split('b')[0].strip()", "' x '.strip().upper()", "'a'.foo()", "'abc'.strip(none)", "'abc'.upper(1)", "'{}'.join(['a','b'])",
    "s.replace('o', '0').replace('l', '1')", "'\\x1c a\\u2003'.strip()", "'\\ufeffa'.strip()|length", "'a\\x85b'.splitlines()", "'aéb'.find('b')", "'abc'.rindex('c')", "'ab'.isalpha", "'abc'.find('')", "'abc'.find('', 5)", "'ǆ'.title()", "'don\\'t STOP'.title()", "'3rd place'.title()", "'hello-world foo_bar'.title()",
    "'abc'.split(sep='b')", "'abc'.startswith('abcd')", "'a,b'.split(',')|join('+')", "'abc'.endswith('bc', 1, 3)", "'abc'.count('b', 2)", "'x'.zfill(3)", "'a'.ljust(0)", "'ab\\n'.rstrip('\\n')", "'</think>x'.split('</think>')[-1].lstrip('\\n')", "('a' ~ 1).isalnum()", "'1,2'.split(',')|map('int')|sum",
)
expressions(
    "text filters",
    "s|upper", "s|lower", "s|capitalize", "'hELLO wORLD'|capitalize", "s|title", "\"it's o-k (foo) [bar]\"|title", "'hELLO wORLD'|title", "' a '|trim", "'xax'|trim('x')", "lines|indent", "lines|indent(2)", "lines|indent(2, true)", "lines|indent(2, true, true)", "lines|indent(width=1, blank=true)", "lines|indent('> ')", "''|indent", "'a\\n'|indent", "1|indent",
    "s|replace('o', '0')", "s|replace('o', '0', 1)", "'aaa'|replace('a', 'b', count=2)", "123|replace(2, 'x')", "s|replace('o')", "s|length", "astral|length", "uni|length", "s|count", "s|reverse", "astral|reverse", "s|list", "astral|list", "s|first", "s|last", "astral|last", "s|truncate(5)", "s|truncate(5, true)", "s|truncate(8, true, '..', 0)", "s|truncate(6, false, '', 0)",
    "'foo bar baz qux'|truncate(9)", "'foo bar baz qux'|truncate(9, leeway=0)", "'foo bar baz qux'|truncate(11, true)", "s|truncate(1)", "s|center(15)", "s|center(3)", "s|wordcount", "'a-b c_d'|wordcount", "'foo bar baz'|wordwrap(7)", "'a b c'|wordwrap(1)", "'abcdefgh'|wordwrap(3)", "'abcdefgh ij'|wordwrap(3, false)", "'foo bar'|wordwrap(3, wrapstring='|')", "'foo\\nbar baz'|wordwrap(4)", "'well-known fact'|wordwrap(6)",
    "'well-known fact'|wordwrap(6, break_on_hyphens=false)", "html|escape", "html|e", "html|e|e", "html|forceescape", "(html|e)|forceescape", "html|safe", "html|striptags", "'a <!-- b --> c  d'|striptags", "'a &amp; b &lt;'|striptags", "'<' ~ '<'|e", "('<'|e) + '<'", "'<' + ('<'|e)", "('<%s>'|safe) % '<'", "none|e", "1|e", "{'a': 1, 'b': none}|xmlattr", "{'a': '<x>'}|xmlattr", "{}|xmlattr", "{'a b': 1}|xmlattr", "{'a': 1}|xmlattr(false)",
    "'a b/c?d=e&f'|urlencode", "'é😀'|urlencode", "{'a b': 'c/d', 'e': 1}|urlencode", "[('a', 1)]|urlencode", "1|urlencode", "\"!'()*~-_.\"|urlencode", "none|upper", "foo|upper", "1|upper", "true|lower", "none|trim", "foo|trim", "foo|length", "none|length", "1|length", "none|replace('N', 'x')", "1.5|string", "none|string", "true|string", "[1]|string", "foo|string", "s|string|upper",
    "'abc'|nofilter", "'abc'|upper()", "'abc'|upper(1)", "'a'|upper|lower|upper", "s|upper.lower", "(s|upper)[0]", "s|upper[0]", "'%s'|format(none)", "'aéb'|upper", "s|e|length", "'ß'|capitalize", "'ǆ'|title", "'1st'|title", "'a\\nb'|title", "['a', 'b']|upper", "lines|wordwrap(3)", "'x' * 3|length",
    "'a  b'|wordwrap(2)", "'aaa bbb-ccc'|wordwrap(5)", "'a b'|replace(' ', '')", "''|capitalize", "''|title", "''|first", "''|last", "s|trim('Hd')", "lines|indent(-1)", "lines|indent(first=true)", "('<b>'|safe)|upper", "html|e is escaped", "html is escaped",
)
expressions(
    "number filters",
    "i|int", "'42'|int", "'42.9'|int", "42.9|int", "-42.9|int", "'abc'|int", "'abc'|int(5)", "'abc'|int(default=none)", "none|int", "none|int(3)", "foo|int", "true|int", "'0x1f'|int(0, 16)", "'1f'|int(0, 16)", "'0b11'|int(0, 2)", "'0x1f'|int(0, 0)", "'11'|int(base=2)", "' 5 '|int", "'1_000'|int", "''|int", "'1e3'|int", "[]|int", "'+5'|int", "'--5'|int", "1e400|int", "'inf'|int",
    "'3.5'|float", "3|float", "'x'|float", "'x'|float(1.5)", "none|float", "'1e3'|float", "'inf'|float", "'nan'|float", "true|float", "foo|float", "' 2.5 '|float", "'1_0.5'|float", "2.5|round", "3.5|round", "-2.5|round", "2.675|round(2)", "42|round", "42|round(-1)", "45|round(-1)", "2.55|round(1)", "2.4|round(method='ceil')", "2.6|round(0, 'floor')", "2.123|round(2, 'ceil')", "-2.5|round(0, 'floor')", "5|round(0, 'ceil')",
    "2.5|round|int", "2.5|round(method='x')", "'a'|round", "1234.5678|round(2)", "1e20|round", "0.5|round", "1.5|round", "(-5)|abs", "-5|abs", "5.5|abs", "(-5.5)|abs", "true|abs", "'a'|abs", "foo|abs", "1000|filesizeformat", "1|filesizeformat", "0|filesizeformat", "999|filesizeformat", "1500000|filesizeformat", "1024|filesizeformat(true)", "1048576|filesizeformat(true)", "'2000'|filesizeformat", "1e30|filesizeformat",
    "5|default(1)", "foo|default(1)", "foo|default", "foo|d('x')", "none|default(1)", "none|default(1, true)", "''|default('x', true)", "''|default('x', boolean=true)", "0|d(5, true)", "d.zz|default('y')", "foo.bar|default('y')", "(foo|default({})).x", "foo|default(bar)", "foo|default(none)", "nums|sum", "[]|sum", "[1.5, 2]|sum", "people|sum('age')", "people|sum(attribute='age', start=10)", "['a']|sum", "[[1], [2]]|sum(start=[])",
    "nums|min", "nums|max", "[]|min", "words|min", "words|max", "words|min(true)", "people|max(attribute='age')", "[1, 'a']|max", "[1.5, 1]|min", "people|map(attribute='age')|max", "foo|max", "none|max", "-i|abs", "3.0|int", "3.7|round|string", "1|float|string", "7 / 2|int",
)
expressions(
    "sequence filters",
    "nums|sort", "nums|sort(true)", "nums|sort(reverse=true)", "words|sort", "words|sort(case_sensitive=true)", "people|sort(attribute='age')|map(attribute='name')|list", "people|sort(attribute='age', reverse=true)|map(attribute='name')|list", "people|sort(attribute='age,name')|map(attribute='name')|list", "people|sort(attribute='city.id')|map(attribute='name')|list", "[1, 'a']|sort", "[none, 1]|sort",
    "d|sort", "s|sort", "none|sort", "foo|sort", "[[2, 1], [1, 2]]|sort", "[[2, 'a'], [1, 'b']]|sort(attribute=0)", "[true, 0, 1.5]|sort", "['b', 'B', 'a']|sort", "d|dictsort", "d|dictsort(true)", "{'a': 2, 'b': 1}|dictsort(by='value')", "{'a': 2, 'b': 1}|dictsort(reverse=true)", "d|dictsort(by='x')", "nums|dictsort", "nums|first", "nums|last", "[]|first", "[]|last", "[]|first is defined", "[]|first|default('x')",
    "d|first", "d|last", "none|first", "1|first", "foo|first", "foo|last", "range(3)|last", "(nums|map('abs'))|last", "(nums|map('abs'))|first", "nums|reverse|list", "(1, 2)|reverse|list", "d|reverse|list", "none|reverse", "1|reverse", "nums|map('string')|reverse", "nums|length", "d|length", "(1,2)|length", "range(5)|length", "(nums|map('abs'))|length", "d.items()|length", "nums|list", "d|list", "none|list", "1|list", "foo|list", "range(3)|list",
    "nums|join", "nums|join(', ')", "[1, none, true, 1.0]|join('-')", "people|join(', ', attribute='name')", "'abc'|join('.')", "d|join(',')", "foo|join(',')", "none|join(',')", "1|join", "nums|join(1)", "[foo]|join(',')", "['<', '<'|e]|join", "nums|map('string')|join(', ')", "nums|map('string')|list", "nums|map('upper')|list", "words|map('upper')|list", "words|map('replace', 'a', 'x')|list", "people|map(attribute='name')|list",
    "people|map(attribute='city.id')|list", "people|map(attribute='zz')|list", "people|map(attribute='zz', default='-')|list", "people|map(attribute='tags', default=[])|list", "people|map(attribute='tags.0', default='q')|list", "[[1, 2], [3, 4]]|map(attribute=1)|list", "[[1, 2], [3]]|map('first')|list", "[[1, 2], [3]]|map('sum')|list", "nums|map('nofilter')|list", "nums|map|list", "none|map('upper')|list", "1|map('upper')|list", "foo|map('upper')|list", "people|map(attribute='name', x=1)|list",
    "d|map('upper')|list", "words|map('default', 'x')|list", "[none, 1]|map('default', 'x', true)|list", "[1, 0, 2, none]|select|list", "[1, 0, 2, none]|reject|list", "nums|select('odd')|list", "nums|reject('odd')|list", "nums|select('greaterthan', 1)|list", "nums|select('>', 1)|list", "nums|select('equalto', 1)|list", "nums|select('in', [1, 2])|list", "words|select('equalto', 'a')|list", "nums|select('notest')|list", "[1, 'a', none, foo]|select('defined')|list",
    "[1, 'a', 2.5]|select('string')|list", "people|selectattr('tags')|map(attribute='name')|list", "people|selectattr('tags', 'defined')|map(attribute='name')|list", "people|selectattr('tags', 'undefined')|map(attribute='name')|list", "people|selectattr('age', 'equalto', 30)|map(attribute='name')|list", "people|selectattr('age', '==', 30)|list|length", "people|rejectattr('age', 'eq', 30)|map(attribute='name')|list", "people|selectattr('city.id', 'gt', 1)|map(attribute='name')|join(',')",
    "people|rejectattr('tags')|map(attribute='name')|list", "people|selectattr('name', 'in', ['Bob', 'Zoe'])|list|length", "people|selectattr|list", "messages|selectattr('role', 'equalto', 'user')|list", "messages|selectattr('role', 'ne', 'system')|map(attribute='role')|list", "messages|rejectattr('content', 'none')|list|length", "(messages|selectattr('role', 'equalto', 'zz')|first) is defined", "people|groupby('age')|list", "people|groupby('age')|map('first')|list", "people|groupby('age')|map(attribute='grouper')|list",
    "(people|groupby('age')|last).list|length", "people|groupby('name')|map(attribute='grouper')|list", "['a', 'B', 'A']|groupby(0)", "people|groupby('tags', default=[])|length", "people|groupby('zz', default='x')|map(attribute=0)|list", "people|groupby('city.id')|map(attribute='grouper')|list", "[3, 1, 3, 1.0, true]|unique|list", "words|unique|list", "words|unique(true)|list", "people|unique(attribute='age')|map(attribute='name')|list", "[[1], [1]]|unique|list", "nums|batch(2)|list", "nums|batch(2, 'x')|list", "[]|batch(2)|list",
    "range(7)|batch(3)|list", "range(7)|slice(3)|list", "range(7)|slice(3, 'x')|list", "range(2)|slice(3)|list", "range(2)|slice(0)|list", "nums|batch(0)|list", "d|items|list", "foo|items|list", "none|items|list", "nums|items|list", "d|tojson", "nums|random is defined", "[]|random is defined", "[5]|random", "nums|select|length", "nums|unique|join(',')", "[nums|map('abs')|list]", "nums|map('abs')|map('string')|join", "'cba'|sort|join", "'hello'|unique|join", "(nums|sort)[0]", "nums|sort|first",
    "nums|map('float')|list", "nums|map('round')|list", "words|map('length')|list", "words|map('e')|list", "[d, e]|map('length')|list", "[s, uni]|map('truncate', 5, true, '')|list", "[{'a': {'b': [1, 2]}}]|map(attribute='a.b.1')|list", "nums|count", "{}|first", "''|list", "range(0)|first",
)
expressions(
    "tojson",
    "none|tojson", "true|tojson", "1|tojson", "1.0|tojson", "1.5|tojson", "1e20|tojson", "1e16|tojson", "1e-7|tojson", "0.1|tojson", "1e400|tojson", "-1e400|tojson", "(1e400 - 1e400)|tojson", "'a'|tojson", "quotes|tojson", "html|tojson", "'é😀'|tojson", "'é😀'|tojson(ensure_ascii=true)", "'\\x7f\\x00\\x1f\\u2028'|tojson", "'\\x7f\\u2028'|tojson(true)", "'\\b\\f\\n\\r\\t\\\\/'|tojson", "[]|tojson", "{}|tojson", "()|tojson",
    "(1, 2)|tojson", "nested|tojson", "d|tojson", "d|tojson(indent=2)", "d|tojson(indent=4)", "nested|tojson(indent=1)", "[]|tojson(indent=2)", "{'a': []}|tojson(indent=2)", "{'a': {}}|tojson(indent=2)", "d|tojson(indent=0)", "d|tojson(indent='--')", "d|tojson(separators=(',', ':'))", "d|tojson(separators=[',', ':'])", "d|tojson(indent=2, separators=(', ', ' = '))", "d|tojson(sort_keys=true)", "{'b': {'d': 1, 'c': 2}, 'a': 3}|tojson(sort_keys=true)",
    "{1: 'a', none: 'b', true: 'c'}|tojson", "{1.5: 'a'}|tojson", "{(1, 2): 'a'}|tojson", "foo|tojson", "[foo]|tojson", "range(3)|tojson", "range(3)|list|tojson", "(nums|map('abs'))|tojson", "d.items()|tojson", "namespace(a=1)|tojson", "people|tojson", "messages|tojson", "messages|tojson(indent=2)", "123456789012345678901234567890|tojson", "('<a>'|safe)|tojson", "{1: 1, 'a': 2}|tojson(sort_keys=true)", "d|tojson(false, 2)", "d|tojson(indent=none)", "d|tojson(x=1)",
    "'\ufeff'|tojson", "-0.0|tojson", "100.0|tojson", "[1.0, 2]|tojson", "(1 / 3)|tojson", "'a'|tojson|length", "d|tojson ~ ''", "'</script>'|tojson", "\"'\"|tojson", "{'é': 'ü'}|tojson", "{'a': none, 'b': true, 'c': 1.0}|tojson", "{'tools': [{'type': 'function', 'parameters': {'x': 1}}]}|tojson(indent=4)",
)
expressions(
    "tests",
    "foo is defined", "s is defined", "foo is not defined", "foo is undefined", "d.zz is defined", "none is defined", "none is none", "foo is none", "0 is none", "none is not none", "true is true", "1 is true", "false is false", "0 is false", "true is boolean", "1 is boolean", "1 is integer", "true is integer", "1.0 is integer", "1.0 is float", "1 is float", "1 is number", "1.0 is number", "true is number", "'1' is number", "'a' is string", "1 is string", "('a'|safe) is string",
    "d is mapping", "[] is mapping", "foo is mapping", "[] is sequence", "'a' is sequence", "() is sequence", "d is sequence", "1 is sequence", "range(3) is sequence", "foo is sequence", "none is sequence", "(nums|map('abs')) is sequence", "d.items() is sequence", "[] is iterable", "'a' is iterable", "1 is iterable", "none is iterable", "foo is iterable", "(nums|map('abs')) is iterable", "d.items() is iterable", "range is callable", "s.upper is callable", "s is callable", "foo is callable", "namespace is callable",
    "'ab' is lower", "'aB' is lower", "'AB' is upper", "'1' is upper", "4 is even", "3 is even", "3 is odd", "-3 is odd", "2.0 is even", "2.5 is odd", "'a' is even", "none is odd", "foo is even", "6 is divisibleby 3", "7 is divisibleby(3)", "6 is divisibleby 0", "1 is eq 1", "1 is equalto 1.0", "1 is ==(1)", "1 is ne 2", "1 is lt 2", "1 is lessthan 2", "1 is le 1", "2 is gt 1", "2 is greaterthan 1", "2 is ge 3", "1 is in [1, 2]", "1 is not in [1]", "'a' is in 'abc'", "none is sameas none", "1 is sameas 1", "1 is sameas true",
    "[] is sameas []", "d is sameas d", "'upper' is filter", "'nofilter' is filter", "'defined' is test", "'nope' is test", "html is escaped", "1 is nope", "1 is eq 1 and 2 is eq 2", "not 1 is eq 2", "1 is defined and 2", "foo is defined or true", "(foo is defined) ~ ''", "1 is string is false", "x is float and x is number", "s is string and s|length > 3", "foo is defined == false", "1 + 1 is eq 1", "-1 is odd", "foo.bar is defined", "d.a is defined and d.a", "d['a'] is number", "messages[2].content is none", "messages[0].content is string", "messages is sequence and messages is not mapping",
    "messages[0] is mapping", "nums is iterable and nums is not string", "s is not none and s is not undefined", "1 is not string", "i is divisibleby i", "'a' is string ~ 'b'", "none is not defined", "foo is not none", "1 is integer(2)", "1 is in", "1 is",
)
group(
    "loops",
    "{% for x in nums %}{{ x }}{% endfor %}", "{% for x in nums %}{{ loop.index }}:{{ loop.index0 }}:{{ loop.revindex }}:{{ loop.revindex0 }}:{{ loop.first }}:{{ loop.last }}:{{ loop.length }}:{{ loop.depth }}:{{ loop.depth0 }};{% endfor %}", "{% for x in [] %}a{% else %}empty{% endfor %}", "{% for x in nums %}a{% else %}empty{% endfor %}", "{% for x in foo %}a{% else %}none{% endfor %}", "{% for x in none %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}", "{% for c in 'a😀b' %}[{{ c }}]{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }};{% endfor %}", "{% for a, b in [1] %}x{% endfor %}", "{% for a, b in [[1, 2, 3]] %}x{% endfor %}", "{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}", "{% for x in nums if x > 1 %}{{ loop.index }}/{{ loop.length }}={{ x }};{% endfor %}", "{% for x in nums if x > 9 %}a{% else %}none{% endfor %}",
    "{% for x in nums if x is odd and x < 3 %}{{ x }}{% endfor %}", "{% for x in nums %}{% if loop.index == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in nums %}{{ x }}{% if x == 1 %}!{% break %}{% endif %}{% endfor %}", "{% for x in nums %}a{{ x }}{% continue %}b{% endfor %}", "{% for x in nums %}{% if x == 1 %}{{ x }}skip;{% continue %}{% endif %}{{ x }};{% endfor %}", "{% for x in nums %}{% for y in nums %}{{ x }}{{ y }}{% if y == 1 %}{% break %}{% endif %}{% endfor %};{% endfor %}", "{% for x in nums %}{{ x }}{% break %}{% else %}none{% endfor %}", "{% break %}", "{% if true %}{% continue %}{% endif %}",
    "{% for x in nums %}{% else %}{% break %}{% endfor %}", "{% for x in [1, 2] %}{% for y in [] %}{% else %}e{{ x }}{% break %}{% endfor %}{{ x }}{% endfor %}", "{% for x in nums %}{% set y %}a{% break %}{% endset %}{% endfor %}x", "{% for x in nums %}{% filter upper %}a{% continue %}{% endfilter %}{% endfor %}x", "{% for x in nums %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in nums %}{% with a=1 %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endwith %}{% endfor %}", "{% for x in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in nums %}{{ loop.cycle() }}{% endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in nums %}{{ loop.previtem }}<{{ x }}<{{ loop.nextitem }};{% endfor %}", "{% for x in nums %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}", "{% for x in [[1, [2, 3]], 4] recursive %}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ loop.depth }}:{{ x }},{% endif %}{% endfor %}", "{% for x in nums %}{{ loop(x) }}{% endfor %}", "{% for x in nums %}{% for y in nums %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for x in nums %}{% set outer = loop %}{% for y in nums %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}", "{{ loop }}", "{{ loop.index }}", "{% for loop in nums %}x{% endfor %}", "{% for true in nums %}x{% endfor %}",
    "{% for x in nums %}{% endfor %}{{ x }}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}", "{% for x in range(0) %}{% else %}none{% endfor %}", "{% for x in range(100001) %}{% endfor %}", "{% for x in range('a') %}{% endfor %}", "{% for x in range(1, 2, 0) %}{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x in [1, 2] + [3] %}{{ x }}{% endfor %}", "{% for x in nums|sort|reverse %}{{ x }}{% endfor %}", "{% for x in nums if t else words %}{{ x }}{% endfor %}", "{% for x in (nums if f else words) %}{{ x }}{% endfor %}", "{% for x in nums|map('string') %}{{ loop.length }}{{ x }}{{ loop.last }}{% endfor %}",
    "{% set g = nums|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = nums|map('string') %}{{ g|first }}{{ g|list }}", "{% for x in nums %}{{ x }}{{ ', ' if not loop.last }}{% endfor %}", "{% for m in messages %}{{ m.role }}{% if not loop.last %}|{% endif %}{% endfor %}", "{% for m in messages %}{% if m.content %}{{ m.content }}{% elif m.tool_calls %}{{ m.tool_calls|tojson }}{% endif %};{% endfor %}", "{% for p in people|groupby('age') %}{{ p.grouper }}:{% for q in p.list %}{{ q.name }},{% endfor %};{% endfor %}", "{% for k, g in people|groupby('age') %}{{ k }}{{ g|length }};{% endfor %}", "{% for x in nums %}x{% endfor", "{% for x in nums %}", "{% for %}{% endfor %}", "{% for x nums %}{% endfor %}", "{% endfor %}",
    "{% for x in nums recursive %}{{ x }}{% endfor %}", "{% for x in nums if loop.index > 1 %}{{ x }}{% endfor %}", "{% for a in [1,2] %}{% for b in [3,4] if b > a %}{{ a }}{{ b }}{% endfor %}{% endfor %}", "{% for x in d.items() %}{{ x }}{% endfor %}", "{% for row in range(7)|batch(3, '-') %}{{ row|join(',') }};{% endfor %}", "{% for x in [3,1,2]|sort %}{{ loop.index0 % 2 }}{% endfor %}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "{% for ns.x in nums %}{% endfor %}", "{% for x in {'a': 1} %}{{ x }}{% endfor %}", "{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %}", "{% for m in messages %}{{ loop.index0 }}{% if loop.last and m.role == 'tool' %}T{% endif %}{% endfor %}", "{% for x in nums %}{{ x }}{% else %}{% endfor %}{% for y in words %}{{ y }}{% endfor %}",
)
group(
    "conditions",
    "{% if true %}a{% endif %}", "{% if false %}a{% else %}b{% endif %}", "{% if false %}a{% elif true %}b{% else %}c{% endif %}", "{% if foo %}a{% elif none %}b{% elif '' %}c{% else %}d{% endif %}", "{% if x is defined %}a{% endif %}", "{% if not foo is defined %}a{% endif %}", "{% if nums %}a{% endif %}{% if none_list %}b{% endif %}", "{% if 'a' in 'abc' and not 'd' in 'abc' %}a{% endif %}", "{% if 1, 2 %}a{% endif %}", "{% if a = 1 %}{% endif %}", "{% if %}{% endif %}", "{% if true %}", "{% else %}", "{% elif %}", "{% if true %}{% else %}{% else %}{% endif %}", "{% if true %}a{% endif %}{% if true %}b{% endif %}", "{% if t %}{% if f %}a{% else %}b{% endif %}{% endif %}", "{% if foo.bar is defined %}{% endif %}", "{% if d.zz is defined %}a{% else %}b{% endif %}",
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}", "{% if true else false %}{% endif %}", "{% if none == foo %}a{% else %}b{% endif %}", "{% if '1' == 1 %}a{% else %}b{% endif %}", "{% if 0.0 %}a{% else %}b{% endif %}", "{% if foo|length %}a{% else %}b{% endif %}", "{% if messages|selectattr('role', 'equalto', 'x')|list %}a{% else %}b{% endif %}", "{% if messages|selectattr('role', 'equalto', 'x') %}a{% else %}b{% endif %}",
)
group(
    "set, scopes, namespaces",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = [1, 2] %}{{ a }}", "{% set a, b = [1] %}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}x{{ 1 }}y{% endset %}{{ a }}", "{% set a | upper %}xy{% endset %}{{ a }}", "{% set a | replace('x', 'z') | upper %}xy{% endset %}{{ a }}", "{% set a %}<b>{% endset %}{{ a|e }}", "{% set a = 1 %}{% for x in nums %}{% set a = x %}{{ a }}{% endfor %}{{ a }}", "{% for x in nums %}{{ b }}{% set b = x %}{% endfor %}", "{% for x in nums %}{% if loop.index == 2 %}{{ b }}{% endif %}{% set b = x %}{{ b }}{% endfor %}", "{% if true %}{% set a = 1 %}{% endif %}{{ a }}", "{% if false %}{% set s = 1 %}{% endif %}{{ s }}", "{% set s = s ~ '!' %}{{ s }}",
    "{% for x in nums %}{% set i = i + x %}{{ i }},{% endfor %}{{ i }}", "{% set ns = namespace(a=0) %}{% for x in nums %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}", "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns.y }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}", "{% set ns = namespace() %}{{ ns }}{% set ns.a = [] %}{{ ns }}", "{{ ns.x }}{% set ns = 1 %}", "{% set d.a = 5 %}", "{% set d['a'] = 5 %}", "{% set foo.x = 5 %}", "{% set ns = namespace(a=1) %}{{ ns['a'] }}{{ ns.a is defined }}{{ ns.b is defined }}", "{% set ns = namespace() %}{% set ns.x %}block{% endset %}{{ ns.x }}", "{% set ns = namespace(l=[]) %}{% for x in nums %}{% set ns.l = ns.l + [x * 2] %}{% endfor %}{{ ns.l }}",
    "{% set true = 1 %}", "{% set 1 = 1 %}", "{% set a %}", "{% set a = %}", "{% set %}", "{% with %}a{% endwith %}", "{% with a=1 %}{{ a }}{% endwith %}{{ a }}", "{% with a=1, b=2 %}{{ a + b }}{% endwith %}", "{% set a = 5 %}{% with a=1, b=a %}{{ b }}{% endwith %}", "{% with a=1 %}{% set b = a %}{{ b }}{% endwith %}{{ b }}", "{% with a %}{% endwith %}", "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% macro m() %}{{ z }}{% endmacro %}{% set z = 2 %}{{ m() }}", "{% macro m() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ m() }}{{ q }}", "{% macro m(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{{ m(1) }}{{ x }}", "{% for x in nums %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% filter upper %}{% set u = 'a' %}{{ u }}{% endfilter %}{{ u }}",
    "{% set a %}{% set w = 1 %}{{ w }}{% endset %}{{ a }}{{ w }}", "{% block b %}{% set w = 1 %}{{ w }}{% endblock %}{{ w }}", "{% set v = 3 %}{% block b %}{{ v }}{% endblock %}", "{% for x in nums %}{% block b %}{{ x }}{% endblock %}{% endfor %}", "{% for z in nums %}{% block b scoped %}{{ z }}{% endblock %}{% endfor %}", "{% block b %}x{% endblock %}{{ self.b() }}", "{% block b %}x{% endblock b %}", "{% block b %}{% endblock %}{% block b %}{% endblock %}", "{% set range = 5 %}{{ range }}", "{% set a = foo %}{{ a is defined }}", "{% set _a = 1 %}{{ _a }}", "{% set a = b = 1 %}", "{% set ns = namespace(f=false) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.f = true %}{% endif %}{% endfor %}{{ ns.f }}", "{% set a = [] %}{% set a = a + [1] %}{{ a }}", "{% set x = 'a' if f else 'b' %}{{ x }}", "{% set x = 1 if f %}{{ x is defined }}",
    "{% set dict = dict %}{{ dict(a=1) }}", "{% set a = 1 -%} \n x {{- a }}", "{% set ns = namespace(x=1) %}{% set ns2 = ns %}{% set ns2.x = 5 %}{{ ns.x }}", "{% for x in [1] %}{% set ns = namespace(v=x) %}{% endfor %}{{ ns is defined }}", "{% set x, y = 'ab' %}{{ x }}{{ y }}", "{% if t %}{% for x in [1] %}{% set inner = x %}{% endfor %}{{ inner is defined }}{% endif %}",
)
group(
    "macros",
    "{% macro m() %}x{% endmacro %}{{ m() }}", "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}", "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 'a', x=2) }}", "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}", "{% macro m() %}{{ kwargs.x }}{% endmacro %}{{ m(x=1) }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m(x) %}{{ caller(x) }}{% endmacro %}{% call(y) m(5) %}{{ y * 2 }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{% set z = 1 %}{% call m() %}{{ z }}{% endcall %}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m(a, b='x') %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}", "{% macro m() %}{{ kwargs }}{% endmacro %}{{ m.catch_kwargs }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m() %} a {% endmacro %}[{{ m() }}]", "{% macro m() -%} a {%- endmacro %}[{{ m() }}]", "{% macro m(x) %}{{ x|upper }}{% endmacro %}{{ m('a')|lower }}{{ m('b') ~ 'c' }}", "{% macro m() %}<{% endmacro %}{{ m()|e }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m(*args) %}{% endmacro %}", "{% macro m(x, x2=[1]) %}{{ x2 }}{% endmacro %}{{ m(1) }}", "{{ dict(*[[('a', 1)]]) }}", "{{ dict(**{'a': 1}) }}", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(5, *[6]) }}", "{{ range(*[1, 4])|list }}", "{% call %}{% endcall %}", "{% call 1 %}{% endcall %}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro m() %}",
    "{{ cycler('a', 'b').next() }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner(', ') %}{% for x in nums %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner() %}{{ j() }}a{{ j() }}b", "{{ cycler() }}", "{% macro m(a) %}{% for x in a %}{{ x }}{{ m(x) if x is iterable and x is not string }}{% endfor %}{% endmacro %}{{ m([[1], 2]) }}", "{% macro m() %}{% if true %}x{% endif %}{% endmacro %}{{ m() == 'x' }}{{ m()|length }}", "{{ raise_exception('no') }}", "{{ raise_exception() }}", "{% if f %}{{ raise_exception('no') }}{% endif %}ok", "{% macro f(x, y) %}{{ x ~ y }}{% endmacro %}{{ f(y='b', x='a') }}", "{% macro f(x={}) %}{{ x.get('a', 'none') }}{% endmacro %}{{ f() }}{{ f({'a': 1}) }}",
)
group(
    "filter blocks, raw, comments, other tags",
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aaa{% endfilter %}", "{% filter trim %} a {% endfilter %}", "{% filter indent(2) %}a\nb{% endfilter %}", "{% filter nofilter %}a{% endfilter %}", "{% raw %}{{ a }}{% if %}{% endraw %}", "{% raw %}a{% endraw %}b", "{%- raw -%} a {%- endraw -%} b", "{% raw %}\n a {% endraw %}\nx", "{% raw %}", "a{# b #}c", "a{# {{ x }} {% if %} #}c", "a {#- b -#} c", "{# a", "{##}x", "{#-#}x", "a\n{# b #}\nc", "  {# b #}\n  c", "a  {#+ b +#}\nc", "{% generation %}a{{ s }}{% endgeneration %}", "{% for x in nums %}{% generation %}{{ x }}{% endgeneration %}{% endfor %}", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}", "{% generation %}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% print s %}", "{% print 1, 2 %}",
    "{% do 1 %}", "{% nope %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{%%}", "{{}}", "{{ }}", "{% raw %}{% raw %}{% endraw %}", "{{ '{{' }}", "{{ '}}' }}", "{{ '%}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ '{#' }}", "{ { a } }", "{ % if % }", "{{ 1 }", "{% if true }a{% endif %}", "{{ 1 ) }}", "{{ (1 }}", "{{ [1) }}", "}}", "%}", "#}", "a}}b", "{% trans %}a{% endtrans %}", "{{ lipsum is defined }}", "{% if true %}{% endfor %}", "{{ 1 }}{{ 2 }}", "{{1}}{{-2}}{{ -3 }}", "{{-5}}", "{{+5}}", "{{ +5 }}", "{{ 5-}}", "{{ 5 -}} x", "{%if true%}a{%endif%}", "{%   if    true   %}a{%   endif   %}", "{{\n1\n}}", "{%\nif true\n%}a{%\nendif\n%}", "{# a #}{# b #}", "{{ 'a' }}{# c #}{{ 'b' }}",
)
group(
    "white space and line ends",
    "a\n", "a\n\n", "\n", "\n\na", "a\r\n", "a\r\nb\r\n", "a\rb", "a\r\n\r\nb", "{{ 'a\r\nb'|length }}", "{% if true %}\na\n{% endif %}\nb", "{% if true %}\r\na\r\n{% endif %}\r\nb", "{% if true %}\ra{% endif %}", "{{ 1 }}\na", "{{ 1 }}\r\na\r\n", "  {% if true %}\n  a\n  {% endif %}\n", "\t{% if true %}x{% endif %}", "a  {% if true %}x{% endif %}", "a\n  {% if true %}x\n  {% endif %}", "  {{ 1 }}", "a\n  {{ 1 }}\n", "  {%+ if true %}x{% endif %}", "a\n  {%+ if true %}x{% endif %}", "{% if true +%}\nx{% endif %}", "{% if true -%}\n  x{% endif %}", "{% if true %}  x  {%- endif %}", "a  {{- 1 }}", "{{ 1 -}}  a", "a \n {{- 1 -}} \n b", "a \n\n {%- if true -%} \n\n b {%- endif -%} \n c",
    "{% for x in nums %}\n  {{ x }}\n{% endfor %}\n", "{% for x in nums -%}\n  {{ x }}\n{%- endfor %}\n", "{%- for x in nums %}\n{{ x }}\n{%- endfor %}", "  {# c #}  \n  a", "a {# c #}\n b", "a\n\n\n{% if true %}\n\n\nb\n\n\n{% endif %}\n\n\nc", "{% set a = 1 %}\n\nx", "{% set a %}\nx\n{% endset %}\n[{{ a }}]", "x{% set a = 1 %}\ny", "   {% set a = 1 %}   \n   y", "{% raw %}\n{{ a }}\n{% endraw %}\n", "{% if true %}\u00a0\na{% endif %}", "\u00a0{% if true %}a{% endif %}", "a\u2003{%- if true %}b{% endif %}", "a\ufeff{%- if true %}b{% endif %}", "\ufeff{% if true %}a{% endif %}", "a\x0b{%- if true %}b{% endif %}", "a\x0c\n{% if true %}b{% endif %}", "a\u2028{% if true %}b{% endif %}", "{% if true %}\x0ba{% endif %}",
    "a\n{%- if true -%}\nb\n{%- endif -%}\nc\n", "  {%- if true %}a{% endif %}", "{% macro m() %}\n  a\n{% endmacro %}\n{{ m() }}\n", "{%- set x = 1 -%}\n{%- set y = 2 -%}\n{{ x }}{{ y }}", "{{ 'a\nb' }}", "a \n{% if true %} b \n{% endif %} c", "{% if true %}{% endif %}\n\n", "{% if true %}a{% else %}\nb{% endif %}\n", "{{ 1 }}\n\n", "{% if true %}\n{% if true %}\nx\n{% endif %}\n{% endif %}\n", "a\n \t {% if true %} \t \nx{% endif %}", "a {% if true %}\n  b {% endif %}", "{% for x in nums %}{{ x }}\n{% endfor %}", "{%- if true %} a {%+ endif %} b", "a\n  {%- raw %} b {% endraw %}", "  {% raw %}x{% endraw %}", "a\n  {% raw %}\n  x\n  {% endraw %}\ny", "\r{{ 1 }}\r", "{{ 1 }}\r", "{# a\r\nb #}\r\nc",
)
group(
    "undefined values",
    "{{ foo }}", "[{{ foo.bar }}]", "{{ foo.bar.baz }}", "{{ foo() }}", "{{ foo[0] }}", "{{ d.zz }}", "{{ d.zz.y }}", "{{ d.zz() }}", "{{ none.x }}", "{{ none.x.y }}", "{{ foo|upper }}", "{{ foo|default('a') }}", "{{ foo.bar|default('a') }}", "{{ foo|tojson }}", "{{ foo|list }}", "{{ foo|join }}", "{{ foo ~ 'a' }}", "{{ foo + 'a' }}", "{{ not foo }}", "{{ foo|length }}", "{{ foo == foo }}", "{{ foo == none }}", "{{ foo is none }}", "{{ foo in [1] }}", "{{ 1 in foo }}", "{{ foo < 1 }}", "{{ foo|int }}", "{{ foo|sum }}", "{{ foo|sort }}", "{{ foo|first }}", "{{ foo|map('upper')|list }}", "{{ foo|selectattr('x')|list }}", "{{ '%s' % foo }}", "{{ foo|string|length }}", "{{ foo|e }}", "{{ foo|replace('a', 'b') }}", "{{ foo|items|list }}", "{{ [foo, foo] }}", "{{ {'a': foo} }}", "{{ foo|abs }}", "{{ foo[1:] }}", "{{ foo if foo else 'x' }}", "{{ foo or 'x' }}", "{{ foo and 'x' }}", "{{ messages[9] }}", "{{ messages[9].role }}", "{{ foo.items() }}", "{{ d.get('x').y }}", "{{ d.get('x') is none }}", "{{ foo|reverse|list }}", "{{ foo|unique|list }}", "{{ foo|batch(2)|list }}", "{{ foo|round }}", "{{ foo|wordcount }}", "{{ foo|indent }}", "{{ foo|trim|length }}", "{{ range(foo) }}", "{{ s[foo] }}", "{{ nums[foo] }}", "{{ d[foo] }}", "{{ foo|count }}", "{{ foo != 1 }}", "{{ (foo, 1) }}", "{{ foo|pprint }}", "{{ foo|dictsort }}", "{{ foo|d(foo.bar) }}",
)
group(
    "unicode",
    "{{ astral }}", "{{ astral|length }}", "{{ astral[1] }}{{ astral[2] }}", "{{ astral|upper }}", "{{ astral|tojson }}", "{{ astral|list }}", "{{ 'é'|upper }}", "{{ 'ÀÉ'|lower }}", "{{ 'straße'|upper }}", "{{ '😀'.isalpha() }}", "{{ '中文'|length }}", "{{ '中文'.isalpha() }}", "{{ ['中文'] }}", "{{ {'键': '值'} }}", "{{ {'键': '值'}|tojson }}", "{{ 'a\u0301'|length }}", "{{ 'ａｂ'|upper }}", "{{ 'ﬁ'|upper }}", "{{ 'é' < 'z' }}", "{{ ['é', 'z', 'a']|sort }}", "{{ '한국어'[1] }}", "{{ '한국어'|reverse }}", "{{ '👨‍👩‍👧'|length }}", "{{ 'x😀y'.split('😀') }}", "{{ '😀' * 3 }}", "{{ 'a😀'.find('😀') }}", "{{ 'é'|urlencode }}", "{{ '日本語テキスト'|truncate(5, true, '…', 0) }}", "{{ '😀😀😀😀'|truncate(3, true, '', 0) }}", "{{ '😀 😀'|wordwrap(1) }}", "{{ 'ｅ'|title }}", "{% set é = 1 %}{{ é }}", "{{ {'é': 1}.é }}", "{{ '\u00a0a\u00a0'|trim|length }}", "{{ '\u3000a'|trim }}", "{{ 'İ'|lower|length }}", "{{ 'ŉ'|upper }}", "{{ '①'.isdigit() }}{{ '٣'.isdecimal() }}{{ '一'.isnumeric() }}", "{{ '１２'|int }}{{ '٣'|int }}{{ '-৪'|int }}{{ '𝟟𝟠'|int }}{{ '²'|int(9) }}", "{{ '٣.٥'|float }}{{ '１e２'|float }}", "{{ 'ŉ'|capitalize }}{{ 'ŉa ŉb'.title() }}", "{{ 'Ⅷ'|lower }}", "{{ '😀'|center(5) }}|", "{{ '%3s' % '😀' }}", "{{ '{:>3}'.format('😀') }}", "{{ '\\U0001F600' == '😀' }}", "{{ '😀' in 'a😀' }}", "{{ 'a😀b'[1:2] }}",
)
GROUPS["dates"] = tuple(
    {"template": "{{ strftime_now('" + format + "') }}", "now": now}
    for now in [NOW, (2026, 1, 1, 0, 0, 0), (2023, 12, 31, 23, 59, 59), (2024, 2, 29, 12, 30, 5), (2021, 1, 3, 9, 8, 7)]
    for format in [
        "%Y-%m-%d", "%d %b %Y", "%A, %B %d, %Y", "%-d %B %Y", "%e|%j|%F|%T|%D|%R|%r", "%H:%M:%S %I %p %y %C", "%a %b %h %u %w", "%U %W %V %G %g", "%c|%x|%X", "%-m/%-d/%y %-I:%M %p %-H %-j", "%%|%n|%t|%Z|%z|", "%k|%l|%P|%f", "%_d|%_m|%0e|%^a|%^B|%#p|%5Y", "%Q|é %d",
    ]
)


def cases():
    for name, snippets in GROUPS.items():
        for snippet in snippets:
            case = snippet if isinstance(snippet, dict) else {"template": snippet}
            case["result"] = render(case["template"], VARIABLES, case.get("now", NOW))
            if " at 0x" in case["result"].get("text", ""):
                continue  # an address in memory
            yield {"group": name, **case}


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("snippets.json")
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases())
    head = json.dumps({"now": NOW, "variables": VARIABLES}, ensure_ascii=True)[:-1]
    path.write_text(head + ', "cases": [\n' + lines + "\n]}\n")
