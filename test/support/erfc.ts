/** 1 - erf(x) for x >= 0: the series up to 2, then the continued fraction, which 200 terms end. */
export function erfc(x: number): number {
  if (x > 2) {
    let fraction = x;
    for (let n = 200; n > 0; n--) fraction = x + n / 2 / fraction;
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
  }
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return 1 - (2 / Math.sqrt(Math.PI)) * sum;
}
