/**
 * A mixture of sources, by shares of tokens. The samples go in rounds of a thousand: each source has its exact share of a
 * round's places, in an order that is drawn for each round, and goes through its own samples without gaps. So sample n
 * follows from the seed and n, and text among tasks is still read once an epoch.
 */
import { ArgumentError } from "../../util/errors.js";
import { randomFor, type Sample, type SampleSource, shuffle } from "./sample.js";

const ROUND = 1000;

export interface MixturePart {
  readonly source: SampleSource;
  /** Share of the tokens, relative to the other parts'. */
  readonly share: number;
}

/** Where a sample of the mixture comes from. */
export interface MixturePlace {
  /** Number of the part. */
  readonly part: number;
  /** Number of the sample in that part's source. */
  readonly n: number;
}

export class Mixture implements SampleSource {
  readonly name: string;
  private readonly sources: readonly SampleSource[];
  private readonly seed: number;
  /** Places of a round by part. */
  private readonly quotas: readonly number[];
  /** That of the round last asked for. */
  private round: { readonly number: number; readonly places: readonly MixturePlace[] } = { number: -1, places: [] };

  /** @throws ArgumentError for shares that aren't positive numbers, or all too unlike */
  constructor(parts: readonly MixturePart[], seed: number, name = "mixture") {
    this.name = name;
    this.sources = parts.map((part) => part.source);
    this.seed = seed;
    this.quotas = quotas(parts);
  }

  place(n: number): MixturePlace {
    const number = Math.floor(n / ROUND);
    if (this.round.number !== number) this.round = { number, places: this.placesOf(number) };
    return this.round.places[n % ROUND];
  }

  sample(n: number, length: number): Promise<Sample> {
    const place = this.place(n);
    return this.sources[place.part].sample(place.n, length);
  }

  private placesOf(round: number): MixturePlace[] {
    const parts = this.quotas.flatMap((quota, part) => new Array<number>(quota).fill(part));
    shuffle(parts, randomFor(this.seed, round));
    const next = this.quotas.map((quota) => round * quota);
    return parts.map((part) => ({ part, n: next[part]++ }));
  }
}

/** Places of a round: shares rounded down, and what is left to the parts that lost most. */
function quotas(parts: readonly MixturePart[]): number[] {
  const total = parts.reduce((sum, { share }) => sum + share, 0);
  if (parts.length === 0 || !parts.every(({ share }) => share > 0 && Number.isFinite(share))) {
    throw new ArgumentError("A mixture needs at least one part, and each a share above 0.");
  }
  const exact = parts.map(({ share }) => (share / total) * ROUND);
  const rounded = exact.map(Math.floor);
  const left = ROUND - rounded.reduce((sum, quota) => sum + quota, 0);
  const byLoss = exact.map((_, i) => i).sort((a, b) => exact[b] - rounded[b] - (exact[a] - rounded[a]) || a - b);
  for (const i of byLoss.slice(0, left)) rounded[i]++;
  const lost = rounded.indexOf(0);
  if (lost < 0) return rounded;
  throw new ArgumentError(
    `The part "${parts[lost].source.name}" has less than a ${ROUND}th of the mixture: raise its share or leave it out.`,
  );
}
