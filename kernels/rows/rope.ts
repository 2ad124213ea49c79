// Rotary position embedding (Su et al. 2021). A row's angles are [dims/2][2] f32: cosine, sine of each pair. Pairs are
// (2i, 2i+1) in the interleaved layout, (i, i + dims/2) in halves; elements from dims on stay as they are.
//
// Arguments of rotate: 0 x, 4 out, 8 rows, 12 heads of a row, 16 head width, 20 angles, 24 dims, 28 layout.
import { INTERLEAVED } from "../abi";
import { share } from "../vector/simd";

export function rotate(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 8);
  const heads = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const dims = load<i32>(args, 24);
  const layout = load<i32>(args, 28);
  const headBytes = usize(width) * 4;
  const end = share(rows, thread + 1, threads);
  for (let row = share(rows, thread, threads); row < end; row++) {
    const angles = load<usize>(args, 20) + usize(row) * dims * 4;
    let offset = usize(row) * heads * headBytes;
    for (let head = 0; head < heads; head++) {
      rotateHead(load<usize>(args) + offset, load<usize>(args, 4) + offset, width, angles, dims, layout);
      offset += headBytes;
    }
  }
}

/** Rotates one head from x to out, which may be the same place. */
export function rotateHead(x: usize, out: usize, width: i32, angles: usize, dims: i32, layout: i32): void {
  if (layout == INTERLEAVED) rotateInterleaved(x, out, angles, dims);
  else rotateHalves(x, out, angles, dims >> 1);
  if (x != out) memory.copy(out + usize(dims) * 4, x + usize(dims) * 4, usize(width - dims) * 4);
}

function rotateInterleaved(x: usize, out: usize, angles: usize, dims: i32): void {
  const signs = f32x4(-1, 1, -1, 1);
  const bytes = usize(dims) * 4;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const pairs = v128.load(x + i);
    const swapped = v128.shuffle<f32>(pairs, pairs, 1, 0, 3, 2);
    const turn = v128.load(angles + i);
    const cos = v128.shuffle<f32>(turn, turn, 0, 0, 2, 2);
    const sin = f32x4.mul(v128.shuffle<f32>(turn, turn, 1, 1, 3, 3), signs);
    v128.store(out + i, f32x4.add(f32x4.mul(pairs, cos), f32x4.mul(swapped, sin)));
  }
  for (; i < bytes; i += 8) rotatePair(x + i, x + i + 4, out + i, out + i + 4, angles + i);
}

function rotateHalves(x: usize, out: usize, angles: usize, half: i32): void {
  const bytes = usize(half) * 4;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const a = v128.load(x + i);
    const b = v128.load(x + bytes + i);
    const low = v128.load(angles + 2 * i);
    const high = v128.load(angles + 2 * i, 16);
    const cos = v128.shuffle<f32>(low, high, 0, 2, 4, 6);
    const sin = v128.shuffle<f32>(low, high, 1, 3, 5, 7);
    v128.store(out + i, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
    v128.store(out + bytes + i, f32x4.add(f32x4.mul(a, sin), f32x4.mul(b, cos)));
  }
  for (; i < bytes; i += 4) rotatePair(x + i, x + bytes + i, out + i, out + bytes + i, angles + 2 * i);
}

// @ts-ignore: decorator
@inline
function rotatePair(first: usize, second: usize, outFirst: usize, outSecond: usize, angles: usize): void {
  const a = load<f32>(first);
  const b = load<f32>(second);
  const cos = load<f32>(angles);
  const sin = load<f32>(angles, 4);
  store<f32>(outFirst, a * cos - b * sin);
  store<f32>(outSecond, a * sin + b * cos);
}
