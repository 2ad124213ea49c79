/** Which tile of rows visits which page of keys in a step of training, as visit-plan.ts works it out. */

/** Addresses in the step's memory, and counts. */
export interface VisitPlan {
  readonly tiles: number;
  readonly starts: number;
  readonly visits: number;
  readonly chunks: number;
  readonly chunkTiles: number;
  readonly chunkSlots: number;
  readonly slotOf: number;
  readonly slots: number;
  /** Rows times keys of all visits of one KV head. */
  readonly pairs: number;
}

/** One tile's visit of a page; rows are counted from the tile's first. */
export interface Visit {
  readonly page: number;
  readonly first: number;
  readonly end: number;
  readonly whole: boolean;
}
