/** What a trainer reads: token rows with a weight for each prediction. */
export interface Sample {
  /** L + 1 ids: the first L are read, the last L are what should be predicted. */
  readonly ids: Int32Array;
  /** [L]: weight of each prediction in the loss. */
  readonly weights: Float32Array;
}

/** An endless series of samples: number n depends on the source's seed and n alone. */
export interface SampleSource {
  readonly name: string;
  sample(n: number, length: number): Promise<Sample>;
}
