// x times the transpose of a weight, in the weight's own format: out[t][r] = sum over k of x[t][k] w[r][k], + bias[r].
//
// Words at args, 32 bits each:
//    0  dtype of the weight, ggml's number
//    1  T, rows of x
//    2  columns = inputs, a multiple of the block size
//    3  rows of the weight = outputs
//    4  x, address of f32 rows (read for f32, f16 and bf16 weights only)
//    5  row stride of x in elements
//    6  address of the quantised rows of x, read for all other weights (see quantise, quantise-bytes, quantise-pairs or planes, as
//       word 13 says)
//    7  weight, address; any alignment
//    8  bias, address, or 0
//    9  dtype of the bias: f32, f16 or bf16
//   10  out, address of f32 rows
//   11  row stride of out in elements
//   12  scratch of all threads: this thread's is at scratch + thread * SCRATCH_BYTES (at least PANEL_SCRATCH_BYTES each)
//   13  form, see abi: STREAMED, SIXTEEN_BITS, or one of the others in the build with relaxed SIMD; those with WIDE in their names
//       only where the wide module is in the table
// and, from byte RANGE_COUNTERS on, RANGES counters that are zero before the first thread starts. Every thread has a range
// of the work of its own, so that it reads memory in order, and takes small pieces from it; then it takes pieces from the
// ranges of others. (Pieces from one counter, which neighbours then share out, cost a quarter of the memory's speed.)
//
// One item of work is a tile of weight rows and of tokens; its result does not depend on who computes it, so results are
// the same bits for any number of threads, and a token's do not depend on the other tokens: the caller says by the form
// which tokens count as few.

import {
  FLOATS_WIDE, PLANES, PLANES_WIDE, PLANES_WORDS, RANGE_COUNTERS, RANGES, SCRATCH_BYTES, SIXTEEN_BITS, SIXTEEN_WIDE,
  STREAMED,
} from "../abi";
import { BYTE_SUMS, BYTE_TILE_TOKENS, byteProducts, byteRows } from "./linear-bytes";
import { bundleProducts, EIGHTS_SUMS, EIGHTS_TOKENS } from "./linear-eights";
import { rowsBf16, rowsF16, rowsF32 } from "./linear-float-rows";
import { PANEL_ROWS, panelProducts, SUMS, TILE_TOKENS, WIDE_ROWS, WIDE_SUMS, wideFloatProducts } from "./linear-panel";
import { PAIRS_SUMS, pairProducts } from "./linear-panel-wide";
import { rowIq4Nl, rowMxfp4, rowQ4_0, rowQ4_1, rowQ5_0, rowQ5_1, rowQ8_0 } from "./linear-rows";
import { rowQ2K, rowQ3K, rowQ4K, rowQ5K, rowQ6K } from "./linear-rows-k";
import { loadHalf, prepareConstants, sumLanes } from "./linear-simd";
import { bundleGroups } from "../quantise/eights";
import { planesRowBytes } from "../quantise/planes";
import { quantisedRowBytes } from "../quantise/quantise";
import { GROUP_BYTES } from "../quantise/quantise-bytes";
import { PAIRS_BYTES } from "../quantise/quantise-pairs";
import { share } from "../vector/simd";
import {
  BF16, F16, F32, IQ4_NL, isFloat, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0, rowBytes,
} from "../quantise/unpack";

/** Pieces of a range: few enough that taking them costs nothing, enough to even out. */
const PIECES = 24;

function loadBias(dtype: i32, bias: usize, row: i32): f32 {
  const at = <usize>row;
  if (bias == 0) return 0;
  if (dtype == F16) return loadHalf(bias + (at << 1));
  if (dtype == BF16) return reinterpret<f32>((<u32>load<u16>(bias + (at << 1))) << 16);
  return load<f32>(bias + (at << 2));
}

/** One quantised weight row times one quantised row of activations, not yet summed across lanes. */
function quantisedRow(dtype: i32, w: usize, columns: i32, x: usize, scratch: usize): v128 {
  switch (dtype) {
    case Q8_0:
      return rowQ8_0(w, columns, x);
    case Q4_0:
      return rowQ4_0(w, columns, x);
    case Q4_1:
      return rowQ4_1(w, columns, x);
    case Q5_0:
      return rowQ5_0(w, columns, x);
    case Q5_1:
      return rowQ5_1(w, columns, x);
    case IQ4_NL:
      return rowIq4Nl(w, columns, x);
    case MXFP4:
      return rowMxfp4(w, columns, x);
    case Q2_K:
      return rowQ2K(w, columns, x, scratch);
    case Q3_K:
      return rowQ3K(w, columns, x, scratch);
    case Q4_K:
      return rowQ4K(w, columns, x, scratch);
    case Q5_K:
      return rowQ5K(w, columns, x, scratch);
    case Q6_K:
      return rowQ6K(w, columns, x, scratch);
    default:
      unreachable();
      return i32x4.splat(0);
  }
}

function fourRows(
  dtype: i32, w0: usize, w1: usize, w2: usize, w3: usize, columns: i32, x: usize, scratch: usize,
): v128 {
  if (dtype == F32) return rowsF32(w0, w1, w2, w3, columns, x);
  if (dtype == F16) return rowsF16(w0, w1, w2, w3, columns, x);
  if (dtype == BF16) return rowsBf16(w0, w1, w2, w3, columns, x);
  return sumLanes(
    quantisedRow(dtype, w0, columns, x, scratch),
    quantisedRow(dtype, w1, columns, x, scratch),
    quantisedRow(dtype, w2, columns, x, scratch),
    quantisedRow(dtype, w3, columns, x, scratch),
  );
}

/** Writes the sums of one token, from weight row `row` on, with their bias. */
function finish(args: usize, token: i32, row: i32, sums: usize, count: i32): void {
  const bias = <usize>load<u32>(args, 32);
  const biasType = load<i32>(args, 36);
  const out = <usize>load<u32>(args, 40) + ((<usize>token * load<u32>(args, 44) + <usize>row) << 2);
  let i = 0;
  if (bias == 0) {
    for (; i + 4 <= count; i += 4) v128.store(out + ((<usize>i) << 2), v128.load(sums + ((<usize>i) << 2)));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    store<f32>(out + at, load<f32>(sums + at) + loadBias(biasType, bias, row + i));
  }
}

/** Groups [first, end) of four weight rows with all tokens. */
function streamRows(args: usize, first: i32, end: i32, x: usize, xStride: usize, scratch: usize): void {
  const dtype = load<i32>(args);
  const tokens = load<i32>(args, 4);
  const columns = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const weight = <usize>load<u32>(args, 28);
  const stride = rowBytes(dtype, columns);
  for (let group = first; group < end; group++) {
    const row = group << 2;
    const w0 = weight + <usize>row * stride;
    const w1 = weight + <usize>min(row + 1, rows - 1) * stride;
    const w2 = weight + <usize>min(row + 2, rows - 1) * stride;
    const w3 = weight + <usize>min(row + 3, rows - 1) * stride;
    for (let t = 0; t < tokens; t++) {
      v128.store(scratch + SUMS, fourRows(dtype, w0, w1, w2, w3, columns, x + <usize>t * xStride, scratch));
      finish(args, t, row, scratch + SUMS, min(4, rows - row));
    }
  }
}

/** Bundles [first, end) of a weight by eights (see eights.ts), with all tokens. */
function streamBundles(args: usize, first: i32, end: i32, x: usize, xStride: usize, scratch: usize): void {
  const tokens = load<i32>(args, 4);
  const columns = load<i32>(args, 8);
  const dtype = load<i32>(args);
  const form = load<i32>(args, 52);
  const stride = rowBytes(dtype, columns);
  const groups = bundleGroups(dtype, stride, load<i32>(args, 12));
  for (let bundle = first; bundle < end; bundle++) {
    const row = (bundle * groups) << 3;
    const weight = <usize>load<u32>(args, 28) + <usize>row * stride;
    for (let token = 0; token < tokens; token += EIGHTS_TOKENS) {
      const count = min(EIGHTS_TOKENS, tokens - token);
      bundleProducts(form, dtype, weight, groups, columns, x + <usize>token * xStride, xStride, count, scratch);
      let sums = scratch + EIGHTS_SUMS;
      for (let group = 0; group < groups; group++) {
        for (let t = 0; t < count; t++) {
          finish(args, token + t, row + (group << 3), sums, 8);
          sums += 32;
        }
      }
    }
  }
}

/** Items [first, end): panels of weight rows, all panels of the first tile of tokens before those of the next. */
function multiplyPanels(args: usize, first: i32, end: i32, x: usize, xStride: usize, scratch: usize): void {
  const dtype = load<i32>(args);
  const tokens = load<i32>(args, 4);
  const columns = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const weight = <usize>load<u32>(args, 28);
  const form = load<i32>(args, 52);
  const stride = rowBytes(dtype, columns);
  const panelRows = rowsOf(form);
  const panels = (rows + panelRows - 1) / panelRows;
  const tile = tileTokens(form, tokens);
  const sums = scratch + sumsOf(form);
  for (let item = first; item < end; item++) {
    const token = (item / panels) * tile;
    const row = (item % panels) * panelRows;
    const count = min(tile, tokens - token);
    const from = x + <usize>token * xStride;
    if (form == SIXTEEN_BITS) panelProducts(dtype, weight, stride, row, rows - 1, columns, from, xStride, count, scratch);
    else if (form == FLOATS_WIDE)
      wideFloatProducts(dtype, weight, stride, row, rows - 1, columns, from, xStride, count, scratch);
    else if (form == SIXTEEN_WIDE) pairProducts(dtype, weight, stride, row, rows - 1, columns, from, count, scratch);
    else byteProducts(form, dtype, weight, stride, row, rows - 1, columns, from, count, scratch);
    for (let t = 0; t < count; t++) {
      finish(args, token + t, row, sums + <usize>(t * panelRows * 4), min(panelRows, rows - row));
    }
  }
}

/** Where the sums of a tile lie in scratch. */
function sumsOf(form: i32): usize {
  if (form == SIXTEEN_BITS) return SUMS;
  if (form == SIXTEEN_WIDE) return PAIRS_SUMS;
  return form == FLOATS_WIDE ? WIDE_SUMS : BYTE_SUMS;
}

/** Weight rows of a panel. */
function rowsOf(form: i32): i32 {
  if (form == FLOATS_WIDE || form == SIXTEEN_WIDE) return WIDE_ROWS;
  return form == SIXTEEN_BITS ? PANEL_ROWS : byteRows(form);
}

/** Tokens of a tile: a multiple of eight where they lie in groups of eight, else of four; tiles as even as can be. */
function tileTokens(form: i32, tokens: i32): i32 {
  const groups = form != SIXTEEN_BITS && form != FLOATS_WIDE;
  const most = groups ? BYTE_TILE_TOKENS : TILE_TOKENS;
  const least = groups ? 8 : 4;
  const tiles = (tokens + most - 1) / most;
  return ((tokens + tiles - 1) / tiles + least - 1) & -least;
}

/** Bytes from one row of activations to the next: in groups, an eighth of one. */
function activationStride(args: usize, dtype: i32, columns: i32): usize {
  if (isFloat(dtype)) return (<usize>load<u32>(args, 20)) << 2;
  const form = load<i32>(args, 52);
  if (form == SIXTEEN_BITS || form == STREAMED) return <usize>quantisedRowBytes(columns);
  return ((<usize>columns) * (form == SIXTEEN_WIDE ? PAIRS_BYTES : GROUP_BYTES)) >> 3;
}

export function linear(args: usize, thread: i32, threads: i32): void {
  prepareConstants();
  const dtype = load<i32>(args);
  const tokens = load<i32>(args, 4);
  const columns = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const form = load<i32>(args, 52);
  if (tokens == 0) return;
  const scratch = <usize>load<u32>(args, 48) + <usize>thread * SCRATCH_BYTES;
  const x = <usize>(isFloat(dtype) ? load<u32>(args, 16) : load<u32>(args, 24));
  const eights = form == PLANES || form == PLANES_WORDS || form == PLANES_WIDE;
  const streamed = form == STREAMED;
  const xStride = eights ? <usize>planesRowBytes(columns) : activationStride(args, dtype, columns);
  const tile = tileTokens(form, tokens);
  const panels = (rows + rowsOf(form) - 1) / rowsOf(form);
  let items = streamed ? (rows + 3) >> 2 : panels * ((tokens + tile - 1) / tile);
  if (eights) items = (rows >> 3) / bundleGroups(dtype, rowBytes(dtype, columns), rows);
  const ranges = min(threads, RANGES);
  const piece = max(1, items / (ranges * PIECES));
  for (let i = 0; i < ranges; i++) {
    const range = (thread + i) % ranges;
    const start = share(items, range, ranges);
    const stop = share(items, range + 1, ranges);
    for (;;) {
      const first = start + atomic.add<i32>(args + RANGE_COUNTERS + <usize>(range << 2), piece);
      if (first >= stop) break;
      const end = min(first + piece, stop);
      if (eights) streamBundles(args, first, end, x, xStride, scratch);
      else if (streamed) streamRows(args, first, end, x, xStride, scratch);
      else multiplyPanels(args, first, end, x, xStride, scratch);
    }
  }
}
