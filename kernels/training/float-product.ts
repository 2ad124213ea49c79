// Products of f32 matrices in training: C [M, N] = A B, or C += A B, where A, either [M, K] or transposed [K, M], and B,
// [K, N] or transposed [N, K], lie by rows. So a linear layer and both its derivatives are products of what is there
// already: y = x W^T, dx = dy W and dW += dy^T x; nothing is transposed in memory.
//
// Up to 96 rows and 256 columns of C are one item of work. For each 256 steps of K, A is packed in groups of four rows
// [k][4] and B in panels of sixteen columns [k][16]; sixteen columns x four rows are summed in registers (eight x four without
// the wide module). The sums of 256 steps are added up in their order, so results depend neither on the items nor on the
// threads, and long sums round no worse than short ones.
//
// Words at args: 0 A, 4 bytes from row to row of A, 8 whether A is transposed, 12 B, 16 bytes from row to row of B, 20 C,
// 24 bytes from row to row of C, 28 M, 32 N, 36 K, 40 whether it is added to C, 44 whether the wide module is in the table,
// 48 scratch of all threads, 52 whether B is transposed. Threads draw items from the counter.

import { COUNTER, SCRATCH_BYTES, WIDE_PRODUCT } from "../abi";
import { madd } from "../vector/simd";

/** Rows and columns of C in an item at most, and steps of K that are packed at once. */
const PRODUCT_ROWS: i32 = 96;
const PRODUCT_COLUMNS: i32 = 256;
const DEPTH: i32 = 256;
const PANEL_BYTES: usize = 64;

// The scratch memory: one panel, the groups (apart by a little more than a power of two), the sums [panel][row][16].
const PANEL: usize = 0;
const GROUPS: usize = 16384;
const GROUP_STRIDE: usize = 4096 + 64;
const SUMS: usize = GROUPS + usize(PRODUCT_ROWS / 4) * GROUP_STRIDE;

export function floatProduct(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const columns = load<i32>(args, 32);
  const scratch = load<usize>(args, 48) + usize(thread) * SCRATCH_BYTES;
  if (rows == 0 || columns == 0) return;
  const height = evenly(rows, PRODUCT_ROWS, 4);
  const width = evenly(columns, PRODUCT_COLUMNS, 16);
  const across = (columns + width - 1) / width;
  const items = across * ((rows + height - 1) / height);
  for (;;) {
    const item = atomic.add<i32>(args + COUNTER, 1);
    if (item >= items) break;
    const row = (item / across) * height;
    const column = (item % across) * width;
    multiplyItem(args, row, min(height, rows - row), column, min(width, columns - column), scratch);
  }
}

/** The least multiple of `unit` in parts of which, as many as with `most`, `count` is split. */
function evenly(count: i32, most: i32, unit: i32): i32 {
  const parts = (count + most - 1) / most;
  return ((count + parts - 1) / parts + unit - 1) & -unit;
}

function multiplyItem(args: usize, row: i32, rows: i32, column: i32, columns: i32, scratch: usize): void {
  const stride = load<usize>(args, 4);
  const transposed = load<i32>(args, 8);
  const bStride = load<usize>(args, 16);
  const depth = load<i32>(args, 36);
  const wide = load<i32>(args, 44);
  const turned = load<i32>(args, 52);
  const groups = (rows + 3) >> 2;
  const panelSums = usize(groups) * 256;
  memory.fill(scratch + SUMS, 0, usize((columns + 15) >> 4) * panelSums);
  for (let k = 0; k < depth; k += DEPTH) {
    const count = min(DEPTH, depth - k);
    const a = load<usize>(args);
    if (transposed) packColumns(a + usize(k) * stride + usize(row) * 4, stride, count, rows, scratch + GROUPS);
    else packRows(a + usize(row) * stride + usize(k) * 4, stride, count, rows, scratch + GROUPS);
    let b = load<usize>(args, 12);
    if (turned) b += usize(column) * bStride + usize(k) * 4;
    else b += usize(k) * bStride + usize(column) * 4;
    let sums = scratch + SUMS;
    for (let left = columns; left > 0; left -= 16) {
      if (turned) packPanelRows(b, bStride, count, min(16, left), scratch + PANEL);
      else packPanel(b, bStride, count, min(16, left), scratch + PANEL);
      if (wide) {
        call_indirect<void>(WIDE_PRODUCT, scratch + PANEL, count, scratch + GROUPS, GROUP_STRIDE, groups, sums);
      } else multiplyPanel(scratch + PANEL, count, scratch + GROUPS, groups, sums, left);
      b += turned ? 16 * bStride : PANEL_BYTES;
      sums += panelSums;
    }
  }
  finish(args, row, rows, column, columns, scratch + SUMS, panelSums);
}

/** Four rows of A to a group, turned by fours. Rows past the last repeat it. */
function packRows(a: usize, stride: usize, count: i32, rows: i32, to: usize): void {
  turnRows(a, stride, count, rows, to, 16, GROUP_STRIDE);
}

/** Sixteen rows of a transposed B to the panel. Rows past the last repeat it. */
function packPanelRows(b: usize, stride: usize, count: i32, rows: i32, to: usize): void {
  turnRows(b, stride, count, rows, to, PANEL_BYTES, 16);
}

/** By fours: numbers k of four rows, `step` bytes after those of k - 1; four rows, `apart` bytes after the ones before. */
// @ts-ignore: decorator
@inline
function turnRows(a: usize, stride: usize, count: i32, rows: i32, to: usize, step: usize, apart: usize): void {
  for (let row = 0; row < rows; row += 4) {
    let r0 = a + usize(row) * stride;
    let r1 = a + usize(min(row + 1, rows - 1)) * stride;
    let r2 = a + usize(min(row + 2, rows - 1)) * stride;
    let r3 = a + usize(min(row + 3, rows - 1)) * stride;
    let out = to;
    let k = 0;
    for (; k + 4 <= count; k += 4) {
      const v0 = v128.load(r0);
      const v1 = v128.load(r1);
      const v2 = v128.load(r2);
      const v3 = v128.load(r3);
      const low0 = v128.shuffle<i32>(v0, v1, 0, 4, 1, 5);
      const high0 = v128.shuffle<i32>(v0, v1, 2, 6, 3, 7);
      const low1 = v128.shuffle<i32>(v2, v3, 0, 4, 1, 5);
      const high1 = v128.shuffle<i32>(v2, v3, 2, 6, 3, 7);
      v128.store(out, v128.shuffle<i64>(low0, low1, 0, 2));
      v128.store(out + step, v128.shuffle<i64>(low0, low1, 1, 3));
      v128.store(out + 2 * step, v128.shuffle<i64>(high0, high1, 0, 2));
      v128.store(out + 3 * step, v128.shuffle<i64>(high0, high1, 1, 3));
      r0 += 16;
      r1 += 16;
      r2 += 16;
      r3 += 16;
      out += 4 * step;
    }
    for (; k < count; k++) {
      store<f32>(out, load<f32>(r0));
      store<f32>(out, load<f32>(r1), 4);
      store<f32>(out, load<f32>(r2), 8);
      store<f32>(out, load<f32>(r3), 12);
      r0 += 4;
      r1 += 4;
      r2 += 4;
      r3 += 4;
      out += step;
    }
    to += apart;
  }
}

/** Four columns of a transposed A to a group; a cache line, four groups, at a time. What is past the last column is any number. */
function packColumns(a: usize, stride: usize, count: i32, columns: i32, to: usize): void {
  let column = 0;
  for (; column + 16 <= columns; column += 16) {
    let from = a;
    for (const end = to + (usize(count) << 4); to < end; to += 16) {
      v128.store(to, v128.load(from));
      v128.store(to + GROUP_STRIDE, v128.load(from, 16));
      v128.store(to + 2 * GROUP_STRIDE, v128.load(from, 32));
      v128.store(to + 3 * GROUP_STRIDE, v128.load(from, 48));
      from += stride;
    }
    to += 4 * GROUP_STRIDE - (usize(count) << 4);
    a += 64;
  }
  for (; column < columns; column += 4) {
    copyColumns(a, stride, count, min(4, columns - column), to, 16);
    to += GROUP_STRIDE;
    a += 16;
  }
}

/** Sixteen columns of B to the panel. */
function packPanel(b: usize, stride: usize, count: i32, columns: i32, to: usize): void {
  if (columns < 16) return copyColumns(b, stride, count, columns, to, 64);
  for (const end = to + (usize(count) << 6); to < end; to += 64) {
    v128.store(to, v128.load(b));
    v128.store(to, v128.load(b, 16), 16);
    v128.store(to, v128.load(b, 32), 32);
    v128.store(to, v128.load(b, 48), 48);
    b += stride;
  }
}

/** The first `columns` numbers of `count` rows, one by one: nothing beyond a matrix may be read. */
function copyColumns(from: usize, stride: usize, count: i32, columns: i32, to: usize, toStride: usize): void {
  const bytes = usize(columns) << 2;
  for (let k = 0; k < count; k++) {
    for (let i: usize = 0; i < bytes; i += 4) store<f32>(to + i, load<f32>(from + i));
    from += stride;
    to += toStride;
  }
}

/** A panel times all groups, as the wide module's `productWide`; of a panel's second half only what is wanted. */
function multiplyPanel(panel: usize, count: i32, group: usize, groups: i32, sums: usize, columns: i32): void {
  for (let i = 0; i < groups; i++) {
    eightByFour(panel, count, group, sums);
    if (columns > 8) eightByFour(panel + 32, count, group, sums + 32);
    group += GROUP_STRIDE;
    sums += 256;
  }
}

function eightByFour(panel: usize, count: i32, a: usize, sums: usize): void {
  let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
  for (const end = panel + (usize(count) << 6); panel < end; panel += 64) {
    const wa = v128.load(panel);
    const wb = v128.load(panel, 16);
    const v0 = v128.load32_splat(a);
    a0 = madd(wa, v0, a0);
    b0 = madd(wb, v0, b0);
    const v1 = v128.load32_splat(a, 4);
    a1 = madd(wa, v1, a1);
    b1 = madd(wb, v1, b1);
    const v2 = v128.load32_splat(a, 8);
    a2 = madd(wa, v2, a2);
    b2 = madd(wb, v2, b2);
    const v3 = v128.load32_splat(a, 12);
    a3 = madd(wa, v3, a3);
    b3 = madd(wb, v3, b3);
    a += 16;
  }
  v128.store(sums, f32x4.add(v128.load(sums), a0));
  v128.store(sums, f32x4.add(v128.load(sums, 16), b0), 16);
  v128.store(sums, f32x4.add(v128.load(sums, 64), a1), 64);
  v128.store(sums, f32x4.add(v128.load(sums, 80), b1), 80);
  v128.store(sums, f32x4.add(v128.load(sums, 128), a2), 128);
  v128.store(sums, f32x4.add(v128.load(sums, 144), b2), 144);
  v128.store(sums, f32x4.add(v128.load(sums, 192), a3), 192);
  v128.store(sums, f32x4.add(v128.load(sums, 208), b3), 208);
}

/** The sums to C, or added to it. */
function finish(args: usize, row: i32, rows: i32, column: i32, columns: i32, sums: usize, panelSums: usize): void {
  const stride = load<usize>(args, 24);
  const added = load<i32>(args, 40);
  let out = load<usize>(args, 20) + usize(row) * stride + usize(column) * 4;
  for (let r = 0; r < rows; r++) {
    let from = sums + (usize(r) << 6);
    for (let first = 0; first < columns; first += 16) {
      finishLine(from, out + (usize(first) << 2), usize(min(16, columns - first)) << 2, added);
      from += panelSums;
    }
    out += stride;
  }
}

// @ts-ignore: decorator
@inline
function finishLine(from: usize, out: usize, bytes: usize, added: i32): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const sums = v128.load(from + i);
    v128.store(out + i, added ? f32x4.add(v128.load(out + i), sums) : sums);
  }
  for (; i < bytes; i += 4) {
    const sum = load<f32>(from + i);
    store<f32>(out + i, added ? load<f32>(out + i) + sum : sum);
  }
}
