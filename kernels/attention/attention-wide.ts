// The steps of a block of attention, for the wide module (wide.ts): an engine that can joins its neighbouring pairs of
// operations into 256-bit ones. The module may have neither constants in memory nor variables: it shares the memory of the
// kernels' module.
import { addPages, scorePages } from "./attention-block";
export { softmaxBlock as softmaxWide } from "./attention-softmax";

export function scoreWide(
  q: usize, rows: i32, width: i32, members: usize, pages: i32, type: i32, page: usize, scores: usize,
): void {
  scorePages(true, q, rows, width, members, pages, type, page, scores);
}

export function addWide(
  sums: usize, rows: i32, width: i32, weights: usize, factors: usize, ones: usize, members: usize, keyBytes: usize,
  low: i32, high: i32, type: i32, page: usize,
): void {
  addPages(true, sums, rows, width, weights, factors, ones, members, keyBytes, low, high, type, page);
}
