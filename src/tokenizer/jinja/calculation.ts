/** Arithmetic of Python's numbers: whole ones of any size, floats, division and remainders that round down. */
import { broken, unsupported } from "./fault.js";
import type { ArithmeticOperator } from "./syntax.js";
import type { Value } from "./values.js";

/** Either both whole, or both as floats. */
export function calculate(operator: ArithmeticOperator, a: bigint | number, b: bigint | number): Value {
  if (typeof a === "bigint" && typeof b === "bigint" && operator !== "/") return calculateWhole(operator, a, b);
  const [x, y] = [toFloat(a), toFloat(b)];
  if (y === 0 && (operator === "/" || operator === "//" || operator === "%")) throw broken("division by zero");
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "/":
      return x / y;
    case "%":
      return floatModulo(x, y);
    case "//":
      return floorDivide(x, y);
    case "**":
      return floatPower(x, y);
  }
}

function floatModulo(x: number, y: number): number {
  const rest = x % y;
  if (rest === 0) return y < 0 || Object.is(y, -0) ? -0 : 0;
  return rest < 0 === y < 0 ? rest : rest + y;
}

function floorDivide(x: number, y: number): number {
  const quotient = (x - floatModulo(x, y)) / y;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatPower(x: number, y: number): number {
  if (x === 0 && y < 0) throw broken("0.0 cannot be raised to a negative power");
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y)) throw unsupported("complex numbers.");
  // Where JavaScript says NaN, Python says 1.
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) return 1;
  const power = x ** y;
  if (!Number.isFinite(power) && Number.isFinite(x) && Number.isFinite(y)) throw broken("a power is too large.");
  return power;
}

/** Larger whole numbers could not be printed, and take long to work out. */
const MOST_BITS = 1 << 16;

function calculateWhole(operator: ArithmeticOperator, a: bigint, b: bigint): Value {
  if (b === 0n && (operator === "//" || operator === "%")) throw broken("division by zero");
  switch (operator) {
    case "+":
      return bounded(a + b);
    case "-":
      return bounded(a - b);
    case "*":
      return bounded(a * b);
    case "//":
      return (a - modulo(a, b)) / b;
    case "**":
      return wholePower(a, b);
    default:
      return modulo(a, b);
  }
}

function wholePower(a: bigint, b: bigint): Value {
  if (b < 0n) {
    if (a === 0n) throw broken("0.0 cannot be raised to a negative power");
    return floatPower(toFloat(a), toFloat(b));
  }
  const bits = a < 0n ? (-a).toString(16).length * 4 : a.toString(16).length * 4;
  if (a !== 0n && a !== 1n && a !== -1n && BigInt(bits - 3) * b > BigInt(MOST_BITS)) throw tooLarge();
  return a ** b;
}

const LARGEST = 1n << BigInt(MOST_BITS);

function bounded(value: bigint): bigint {
  if (value > LARGEST || value < -LARGEST) throw tooLarge();
  return value;
}

function tooLarge() {
  return broken(`a whole number has more than ${MOST_BITS} bits.`);
}

function modulo(a: bigint, b: bigint): bigint {
  const rest = a % b;
  return rest === 0n || rest < 0n === b < 0n ? rest : rest + b;
}

export function toFloat(value: bigint | number): number {
  const float = Number(value);
  if (typeof value === "bigint" && !Number.isFinite(float)) throw broken("a whole number is too large for a float.");
  return float;
}
