// Rows by number: of an activation (gather) and of a weight in any format (embed).
import { EIGHTS, SCRATCH_BYTES } from "../abi";
import { unpackEightsRow } from "../quantise/eights-row";
import { prepareConstants } from "../linear/linear-simd";
import { share } from "../vector/simd";
import { unpackRow } from "../quantise/unpack";

/** Arguments: 0 x, 4 indices (i32), 8 out, 12 count, 16 bytes of a row. */
export function gather(args: usize, thread: i32, threads: i32): void {
  const count = load<i32>(args, 12);
  const bytes = load<usize>(args, 16);
  const end = share(count, thread + 1, threads);
  for (let i = share(count, thread, threads); i < end; i++) {
    const index = usize(load<i32>(load<usize>(args, 4) + usize(i) * 4));
    memory.copy(load<usize>(args, 8) + usize(i) * bytes, load<usize>(args) + index * bytes, bytes);
  }
}

/**
 * Arguments: 0 table, 4 ids (i32), 8 out, 12 count, 16 columns, 20 bytes of a stored row, 24 type (ggml id), 28 scratch,
 * 32 rows of the table.
 */
export function embed(args: usize, thread: i32, threads: i32): void {
  const count = load<i32>(args, 12);
  const columns = load<i32>(args, 16);
  const stored = load<usize>(args, 20);
  const type = load<i32>(args, 24);
  const scratch = load<usize>(args, 28) + usize(thread) * SCRATCH_BYTES;
  const end = share(count, thread + 1, threads);
  if (type >= EIGHTS) prepareConstants();
  for (let i = share(count, thread, threads); i < end; i++) {
    const id = usize(load<i32>(load<usize>(args, 4) + usize(i) * 4));
    const out = load<usize>(args, 8) + usize(i) * usize(columns) * 4;
    if (type >= EIGHTS) unpackEightsRow(type, load<usize>(args), load<i32>(args, 32), i32(id), columns, out, scratch);
    else unpackRow(type, load<usize>(args) + id * stored, columns, out);
  }
}
