/**
 * MXFP4 of a Hugging Face file as ggml's blocks (convert_moe_packed_tensors in integrations/mxfp4.py of `transformers`;
 * conversion/gpt_oss.py of llama.cpp; block_mxfp4 in ggml-common.h). There, `_blocks` [E, rows, blocks, 16] holds elements 2j
 * and 2j + 1 of a block of 32 in the low and high half of byte j, and `_scales` [E, rows, blocks] its exponent. In ggml a
 * block is the exponent, then 16 bytes whose j-th holds the elements j and j + 16. The codes of the numbers are the same.
 */
import { rowBytes } from "../../tensor/dtype.js";
import type { SafetensorsTensor } from "../safetensors.js";
import { assembled, bytesOf, type View, wrongShape } from "./views.js";

const BLOCK = 32;
const PACKED = BLOCK / 2;

/** Rows first, first + step, ... of every expert; the parts are `_blocks` and `_scales`. */
export function mxfp4Experts(step: number, first: number): View {
  return {
    packed: true,
    parts: () => 2,
    apply({ parts: [blocks, scales], size, cache }) {
      checkShapes(blocks, scales, size("expert_count"), step);
      const [experts, sourceRows, blocksInRow] = blocks.shape;
      const rows = sourceRows / step;
      const cols = blocksInRow * BLOCK;
      const stride = rowBytes("mxfp4", cols);
      return assembled({ dtype: "mxfp4", rows: experts * rows, cols }, rows, cache, async (expert) => {
        const length = sourceRows * blocksInRow;
        const codes = await bytesOf(blocks, expert * length * PACKED, length * PACKED);
        const exponents = await bytesOf(scales, expert * length, length);
        const piece = new Uint8Array(rows * stride);
        for (let block = 0; block < rows * blocksInRow; block++) {
          const row = Math.floor(block / blocksInRow);
          const source = (row * step + first) * blocksInRow + (block % blocksInRow);
          piece[block * (PACKED + 1)] = exponents[source];
          regroup(codes, source * PACKED, piece, block * (PACKED + 1) + 1);
        }
        return piece;
      });
    },
  };
}

/** Neighbours in a byte, at `from`, to elements 16 apart in a byte, at `to`. */
function regroup(codes: Uint8Array, from: number, piece: Uint8Array, to: number): void {
  const element = (i: number) => (codes[from + (i >> 1)] >> (4 * (i & 1))) & 15;
  for (let j = 0; j < PACKED; j++) piece[to + j] = element(j) | (element(j + PACKED) << 4);
}

function checkShapes(blocks: SafetensorsTensor, scales: SafetensorsTensor, experts: number, step: number): void {
  const [found, rows, count, bytes] = blocks.shape;
  if (blocks.type !== "U8" || blocks.shape.length !== 4 || found !== experts || rows % step !== 0 || bytes !== PACKED) {
    throw wrongShape(blocks, `bytes [${experts} experts, a multiple of ${step} rows, blocks, ${PACKED}]`);
  }
  if (scales.type === "U8" && String(scales.shape) === String([found, rows, count])) return;
  throw wrongShape(scales, `bytes [${found}, ${rows}, ${count}], one for each block of "${blocks.name}"`);
}
