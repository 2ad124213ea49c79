/** Python's `int` and `float` of texts. */

/** Python reads no longer ones. */
const MOST_DIGITS = 4300;
const PREFIXES: Readonly<Record<string, number>> = { "0b": 2, "0o": 8, "0x": 16 };

/** Where five sets of mathematical digits stand one after the other. */
const MATHEMATICAL = 0x1d7ce;

/** Decimal digits of all scripts as those of ASCII: every script has its ten in a row. */
function asciiDigits(text: string): string {
  return text.replace(/(?!\d)\p{Nd}/gu, (digit) => {
    const point = digit.codePointAt(0) ?? 0;
    if (point >= MATHEMATICAL && point < MATHEMATICAL + 50) return String((point - MATHEMATICAL) % 10);
    let zero = point;
    while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
    return String(point - zero);
  });
}

/** Undefined where Python raises ValueError. Base 0 goes by the prefix. */
export function parseWholeText(text: string, base: number): bigint | undefined {
  const match = /^([-+]?)(0[box](?=_?\w))?_?((?:[a-z\d]_?)*[a-z\d])$/.exec(asciiDigits(text).trim().toLowerCase());
  if (!match) return undefined;
  const [, sign, prefix, body] = match;
  const prefixBase = prefix === undefined ? undefined : PREFIXES[prefix];
  const known = prefixBase !== undefined && (base === 0 || base === prefixBase);
  const radix = known ? prefixBase : base === 0 ? 10 : base;
  const digits = `${known ? "" : (prefix ?? "")}${body}`.replaceAll("_", "");
  if (digits.length > MOST_DIGITS || (base === 0 && !known && /^0+[1-9]/.test(digits))) return undefined;
  let value = 0n;
  for (const digit of digits) {
    const figure = Number.parseInt(digit, 36);
    if (!(figure < radix)) return undefined;
    value = value * BigInt(radix) + BigInt(figure);
  }
  return sign === "-" ? -value : value;
}

export function parseFloatText(text: string): number | undefined {
  const trimmed = asciiDigits(text).trim().toLowerCase();
  const named = /^([-+]?)(?:(inf|infinity)|nan)$/.exec(trimmed);
  if (named) return named[2] ? (named[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY) : Number.NaN;
  if (!/^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[-+]?\d[\d_]*)?$/.test(trimmed) || /__|_$|_\.|\._|_e/.test(trimmed)) {
    return undefined;
  }
  return Number(trimmed.replaceAll("_", ""));
}
