/** The bytes of a tensor in the type of a file, made row by row from f32, so that only a few megabytes are held at once. */
import { quantiseRow } from "../../quant/index.js";
import { DTYPES, type DType, rowBytes } from "../../tensor/dtype.js";
import { ArgumentError } from "../../util/errors.js";

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  /** As it is stored. */
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
  /** Its dimensions in the file, the outermost first; default [rows, cols], or [cols] where there is one row. */
  readonly shape?: readonly number[];
  /** [rows, cols] in row-major order. Called once, when the tensor's turn comes. */
  read(): Promise<Float32Array> | Float32Array;
}

/** About as many bytes are given out at once. */
const CHUNK_BYTES = 2 ** 18;

export function shapeOf({ rows, cols, shape }: Omit<TensorToWrite, "read">): readonly number[] {
  return shape ?? (rows === 1 ? [cols] : [rows, cols]);
}

/** Bytes of the tensor in the file. @throws ArgumentError where its rows are not whole blocks, or its shape is another size */
export function storedBytes(tensor: Omit<TensorToWrite, "read">): number {
  const { name, dtype, rows, cols } = tensor;
  const { blockSize } = DTYPES[dtype];
  if (!(Number.isInteger(rows) && rows > 0 && Number.isInteger(cols) && cols > 0)) {
    throw new ArgumentError(`The tensor "${name}" is ${rows} x ${cols}; expected positive whole numbers.`, { name });
  }
  if (cols % blockSize !== 0) {
    throw new ArgumentError(`"${name}" has rows of ${cols} elements, but ${dtype} stores blocks of ${blockSize}.`, {
      name,
    });
  }
  if (shapeOf(tensor).reduce((product, n) => product * n, 1) !== rows * cols) {
    throw new ArgumentError(`"${name}" has ${rows} x ${cols} elements, not [${shapeOf(tensor).join(", ")}].`, { name });
  }
  return rows * rowBytes(dtype, cols);
}

/**
 * The bytes in order. A chunk may be a view of the values, or be filled anew for the next one: use it before asking for
 * more. @throws ArgumentError when `read` gives another number of elements
 */
export async function* storedChunks(tensor: TensorToWrite): AsyncGenerator<Uint8Array, void, undefined> {
  const { name, dtype, rows, cols } = tensor;
  const values = await tensor.read();
  if (values.length !== rows * cols) {
    throw new ArgumentError(`"${name}" gave ${values.length} elements, expected ${rows} x ${cols}.`, { name });
  }
  if (dtype === "f32") {
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return;
  }
  const stride = rowBytes(dtype, cols);
  const most = Math.max(1, Math.min(rows, Math.floor(CHUNK_BYTES / stride)));
  const chunk = new Uint8Array(most * stride);
  for (let start = 0; start < rows; start += most) {
    const count = Math.min(most, rows - start);
    for (let row = 0; row < count; row++) {
      quantiseRow(dtype, values.subarray((start + row) * cols, (start + row + 1) * cols), chunk, row * stride, cols);
    }
    yield chunk.subarray(0, count * stride);
  }
}
