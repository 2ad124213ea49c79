/** Digits of numbers, rounded exactly as C and Python do: half to even, from the float's exact value. */

/** A float as a fraction of whole numbers, without its sign. */
function fractionOf(value: number): { readonly numerator: bigint; readonly denominator: bigint } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  const mantissa = bits & ((1n << 52n) - 1n);
  const whole = exponent === 0 ? mantissa : mantissa | (1n << 52n);
  const shift = (exponent === 0 ? 1 : exponent) - 1075;
  return shift >= 0
    ? { numerator: whole << BigInt(shift), denominator: 1n }
    : { numerator: whole, denominator: 1n << BigInt(-shift) };
}

function roundedQuotient(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** `%.{precision}f` of the absolute value. */
export function fixedDigits(value: number, precision: number): string {
  const { numerator, denominator } = fractionOf(value);
  const digits = roundedQuotient(numerator * 10n ** BigInt(precision), denominator).toString();
  if (precision === 0) return digits;
  const padded = digits.padStart(precision + 1, "0");
  return `${padded.slice(0, -precision)}.${padded.slice(-precision)}`;
}

/** `count` significant digits of the absolute value, and the power of ten of the first. */
function significant(value: number, count: number): { readonly digits: string; readonly exponent: number } {
  if (value === 0) return { digits: "0".repeat(count), exponent: 0 };
  const { numerator, denominator } = fractionOf(value);
  let exponent = Number(Math.abs(value).toExponential().split("e")[1]);
  for (;;) {
    const shift = BigInt(count - 1 - exponent);
    const scaled =
      shift >= 0n
        ? roundedQuotient(numerator * 10n ** shift, denominator)
        : roundedQuotient(numerator, denominator * 10n ** -shift);
    const digits = scaled.toString();
    if (digits.length <= count) return { digits, exponent };
    exponent++;
  }
}

/** `%.{precision}e` of the absolute value. */
export function exponentDigits(value: number, precision: number, alternate = false): string {
  const { digits, exponent } = significant(value, precision + 1);
  return withExponent(digits, exponent, alternate);
}

function withExponent(digits: string, exponent: number, alternate: boolean): string {
  const point = digits.length > 1 || alternate ? "." : "";
  const power = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits[0]}${point}${digits.slice(1)}e${exponent < 0 ? "-" : "+"}${power}`;
}

/** `%.{precision}g` of the absolute value; `alternate` keeps zeros at the end. */
export function generalDigits(value: number, precision: number, alternate = false): string {
  const count = precision || 1;
  const { digits, exponent } = significant(value, count);
  const kept = alternate ? digits : digits.replace(/0+$/, "") || "0";
  if (exponent < -4 || exponent >= count) return withExponent(kept, exponent, alternate);
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const fraction = kept.slice(exponent + 1);
  return fraction || alternate ? `${whole}.${fraction}` : whole;
}

/** Python's `round` of a float. */
export function roundFloat(value: number, precision: number): number {
  if (!Number.isFinite(value) || precision > 330) return value;
  const sign = value < 0 || Object.is(value, -0) ? -1 : 1;
  if (precision >= 0) return sign * Number(fixedDigits(value, precision));
  if (precision < -310) return sign * 0;
  const { numerator, denominator } = fractionOf(value);
  const unit = 10n ** BigInt(-precision);
  return sign * Number(roundedQuotient(numerator, denominator * unit) * unit);
}

/** Python's `round` of a whole number. */
export function roundWhole(value: bigint, precision: number): bigint {
  if (precision >= 0) return value;
  const unit = 10n ** BigInt(Math.min(-precision, 5000));
  const rounded = roundedQuotient(value < 0n ? -value : value, unit) * unit;
  return value < 0n ? -rounded : rounded;
}

/** Digits with a separator between groups, counted from the point to the left. */
export function grouped(digits: string, separator: string, size = 3): string {
  const [whole, ...rest] = digits.split(/(?=[.e])/);
  let out = whole.slice(-size);
  for (let end = whole.length - size; end > 0; end -= size) {
    out = `${whole.slice(Math.max(0, end - size), end)}${separator}${out}`;
  }
  return out + rest.join("");
}
