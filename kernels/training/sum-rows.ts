// Sums of a matrix's columns, added to what is there: the gradient of a bias. Sums of 64 rows are added up in their order.
//
// Arguments: 0 x, 4 bytes from row to row, 8 rows, 12 columns, 16 sums. Threads share the columns, sixteen at a time.
import { share } from "../vector/simd";

const ROWS: i32 = 64;

export function sumRows(args: usize, thread: i32, threads: i32): void {
  const columns = load<i32>(args, 12);
  const blocks = (columns + 15) >> 4;
  const end = share(blocks, thread + 1, threads);
  for (let block = share(blocks, thread, threads); block < end; block++) {
    const offset = usize(block) << 6;
    const x = load<usize>(args) + offset;
    const sums = load<usize>(args, 16) + offset;
    const count = min(16, columns - (block << 4));
    if (count == 16) sumSixteen(x, load<usize>(args, 4), load<i32>(args, 8), sums);
    else for (let i: usize = 0; i < usize(count) << 2; i += 4) sumOne(x + i, load<usize>(args, 4), load<i32>(args, 8), sums + i);
  }
}

function sumSixteen(x: usize, stride: usize, rows: i32, sums: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a;
  for (let row = 0; row < rows; row += ROWS) {
    let p = f32x4.splat(0), q = p, r = p, s = p;
    for (let i = min(ROWS, rows - row); i > 0; i--) {
      p = f32x4.add(p, v128.load(x));
      q = f32x4.add(q, v128.load(x, 16));
      r = f32x4.add(r, v128.load(x, 32));
      s = f32x4.add(s, v128.load(x, 48));
      x += stride;
    }
    a = f32x4.add(a, p);
    b = f32x4.add(b, q);
    c = f32x4.add(c, r);
    d = f32x4.add(d, s);
  }
  v128.store(sums, f32x4.add(v128.load(sums), a));
  v128.store(sums, f32x4.add(v128.load(sums, 16), b), 16);
  v128.store(sums, f32x4.add(v128.load(sums, 32), c), 32);
  v128.store(sums, f32x4.add(v128.load(sums, 48), d), 48);
}

function sumOne(x: usize, stride: usize, rows: i32, sum: usize): void {
  let total: f32 = 0;
  for (let row = 0; row < rows; row += ROWS) {
    let part: f32 = 0;
    for (let i = min(ROWS, rows - row); i > 0; i--) {
      part += load<f32>(x);
      x += stride;
    }
    total += part;
  }
  store<f32>(sum, load<f32>(sum) + total);
}
