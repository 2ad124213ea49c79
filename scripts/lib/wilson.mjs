// Shares of trials with what is known of them.

/** z of a two-sided interval of 95%. */
const Z = 1.959964;

/** Wilson's interval of a share, from 0 to 1 (E. B. Wilson, 1927). */
export function wilson(right, trials) {
  const share = right / trials;
  const spread = (Z / (1 + Z ** 2 / trials)) * Math.sqrt((share * (1 - share)) / trials + Z ** 2 / (4 * trials ** 2));
  const middle = (share + Z ** 2 / (2 * trials)) / (1 + Z ** 2 / trials);
  return [Math.max(0, middle - spread), Math.min(1, middle + spread)];
}

/** "97% [92, 99]" */
export function shareText(right, trials) {
  if (trials === 0) return "";
  const [low, high] = wilson(right, trials).map((edge) => Math.round(100 * edge));
  return `${Math.round((100 * right) / trials)}% [${low}, ${high}]`;
}
