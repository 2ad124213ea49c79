// The loops of linear-eights for the wide module (wide.ts).

import { eightQ4_0, eightSupers } from "./planes-eight";
import { Q4_0_EIGHTS, Q4_K_EIGHTS, Q5_K_EIGHTS } from "../quantise/unpack";

function q4_0(w: usize, blocks: i32, x: usize, records: usize, sums: usize): void {
  eightQ4_0(false, w, blocks, x, records, sums);
}

function q4K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(0, false, w, supers, scales, x, records, sums);
}

function q5K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(1, false, w, supers, scales, x, records, sums);
}

function q6K(w: usize, supers: i32, scales: usize, x: usize, records: usize, sums: usize): void {
  eightSupers(2, false, w, supers, scales, x, records, sums);
}

/** As planesProducts in linear-eights. */
export function planesWide(
  dtype: i32, w: usize, blocks: i32, scales: usize, x: usize, records: usize, sums: usize,
): void {
  if (dtype == Q4_0_EIGHTS) q4_0(w, blocks, x, records, sums);
  else if (dtype == Q4_K_EIGHTS) q4K(w, blocks, scales, x, records, sums);
  else if (dtype == Q5_K_EIGHTS) q5K(w, blocks, scales, x, records, sums);
  else q6K(w, blocks, scales, x, records, sums);
}
