/** What pages hold, read out of their bytes: the reference backend's are f32, the wasm backend's as kernels/kv/ lays them. */
import { floatFromHalf } from "../../src/quant/f16.js";
import { kvBytes, memberBytes } from "../../src/quant/kv/pages.js";
import type { Backend } from "../../src/tensor/backend.js";
import { type KvSlice, PAGE_TOKENS } from "../../src/tensor/kv.js";
import { rotatedBack } from "./attention-cases.js";
import type { Bounded } from "./select-cases.js";

/** [width][16] of one member of a page. */
async function elementsOf(
  ops: Backend,
  { store, table }: Pick<KvSlice, "store" | "table">,
  entry: number,
  member: number,
) {
  const { layout } = store;
  const bytes = await store.readPages([table.page(entry)]);
  const view = new DataView(bytes.buffer);
  const { keyWidth: width, valueWidth, keyType } = layout;
  const count = width * PAGE_TOKENS;
  if (ops.name === "reference") {
    const at = member * (width + valueWidth) * PAGE_TOKENS;
    return Float32Array.from({ length: count }, (_, i) => view.getFloat32((at + i) * 4, true));
  }
  const at = member * memberBytes(layout);
  const scales = at + kvBytes("q8", width, "keys") - Math.ceil(width / 32) * PAGE_TOKENS * 4;
  const read = {
    f32: (i: number) => view.getFloat32(at + i * 4, true),
    f16: (i: number) => floatFromHalf(view.getUint16(at + i * 2, true)),
    q8: (i: number) => {
      const [d, place] = [Math.floor(i / PAGE_TOKENS), i % PAGE_TOKENS];
      return view.getInt8(at + i) * view.getFloat32(scales + (Math.floor(d / 32) * PAGE_TOKENS + place) * 4, true);
    },
    q4: (i: number) => {
      const [d, place] = [Math.floor(i / PAGE_TOKENS), i % PAGE_TOKENS];
      const word = view.getInt32(at + (Math.floor(d / 8) * PAGE_TOKENS + place) * 4, true);
      const scale = at + Math.ceil(width / 8) * PAGE_TOKENS * 4 + (Math.floor(d / 32) * PAGE_TOKENS + place) * 2;
      return ((word << (28 - 4 * (d % 8))) >> 28) * floatFromHalf(view.getUint16(scale, true));
    },
  }[keyType];
  const elements = Float32Array.from({ length: count }, (_, i) => read(i));
  return keyType === "q4" ? rotatedKeys(elements, width) : elements;
}

/** Keys [width][16], each rotated by a Hadamard matrix. */
function rotatedKeys(elements: Float32Array, width: number): Float32Array {
  const out = new Float32Array(elements.length);
  for (let place = 0; place < PAGE_TOKENS; place++) {
    const key = Float32Array.from({ length: width }, (_, d) => elements[d * PAGE_TOKENS + place]);
    rotatedBack(key).forEach((x, d) => {
      out[d * PAGE_TOKENS + place] = x;
    });
  }
  return out;
}

/** Keys of a page and head as stored, [D][16]. */
export function keysOf(ops: Backend, { slice }: Bounded, page: number, head: number): Promise<Float32Array> {
  return elementsOf(ops, slice, page, slice.member + head);
}

/** The bounds of a page of the table. */
export async function boundsOf(ops: Backend, { bounds, lead }: Bounded, page: number, head: number) {
  const at = lead + page;
  const block = await elementsOf(ops, bounds, Math.floor(at / PAGE_TOKENS), bounds.member + head);
  const width = bounds.store.layout.keyWidth / 2;
  const column = (from: number) =>
    Float32Array.from({ length: width }, (_, d) => block[(from + d) * PAGE_TOKENS + (at % PAGE_TOKENS)]);
  return { largest: column(0), smallest: column(width) };
}
