/**
 * The learning rate by step: a linear warm-up, then constant, a half cosine (1608.03983), or warm-up, stable, decay (2404.06395)
 * with a fall along 1 - sqrt of the last part of the steps.
 */
export interface Schedule {
  readonly kind: "constant" | "cosine" | "wsd";
  readonly rate: number;
  /** The last rate as a part of `rate`. */
  readonly finalRate: number;
  readonly warmupSteps: number;
  /** Of wsd: the part of the steps in which the rate falls. */
  readonly decayShare: number;
  readonly steps: number;
}

/** The rate of step `step`, from 0. */
export function rateAt({ kind, rate, finalRate, warmupSteps, decayShare, steps }: Schedule, step: number): number {
  if (step < warmupSteps) return (rate * (step + 1)) / warmupSteps;
  if (kind === "constant") return rate;
  const start = kind === "cosine" ? warmupSteps : Math.max(warmupSteps, Math.round(steps * (1 - decayShare)));
  if (step < start) return rate;
  const progress = Math.min(1, (step - start + 1) / Math.max(1, steps - start));
  const height = kind === "cosine" ? (1 + Math.cos(Math.PI * progress)) / 2 : 1 - Math.sqrt(progress);
  return rate * (finalRate + (1 - finalRate) * height);
}
