/** How far two runs' logits, a row for each token, are from each other. */

/** The largest difference, relative to the largest logit of its row; NaN where anything is NaN. */
export function worst(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  if (a.length !== b.length) throw new Error(`${a.length} rows of logits against ${b.length}`);
  let most = 0;
  a.forEach((row, t) => {
    const largest = Math.max(...Array.from(row, Math.abs));
    for (let i = 0; i < row.length; i++) {
      // Math.max keeps a NaN, a comparison would forget it at the next number.
      most = Math.max(most, Math.abs(row[i] - b[t][i]) / largest);
    }
  });
  return most;
}

/** Mean Kullback-Leibler divergence of next-token probabilities, in nats. */
export function meanKl(exact: readonly Float32Array[], other: readonly Float32Array[]): number {
  const softmax = (row: Float32Array) => {
    const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
    return Array.from(row, (x) => Math.exp(x) / total);
  };
  const divergences = exact.map((row, t) => {
    const q = softmax(other[t]);
    return softmax(row).reduce((sum, p, i) => sum + p * Math.log(p / q[i]), 0);
  });
  return divergences.reduce((a, b) => a + b, 0) / divergences.length;
}
