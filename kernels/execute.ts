// Which kernel a command names.
import {
  ADD, APPEND, ATTENTION, ATTENTION_MERGE, CONVOLUTION, CROSS_ENTROPY, EMBED, FLOAT_PRODUCT, GATHER, LAYER_NORM, LINEAR,
  MAP, MIX, PACK_EIGHTS, QUANTISE, QUANTISE_BYTES, RMS_NORM, ROTATE, ROTATE_PAGES, SCAN, SPLIT_PLANES, SUM_ROWS,
} from "./abi";
import { append, rotatePages } from "./append";
import { attention } from "./attention";
import { attentionMerge } from "./attention-merge";
import { convolution } from "./convolution";
import { crossEntropy } from "./cross-entropy";
import { add, map } from "./elementwise";
import { packEights } from "./eights";
import { floatProduct } from "./float-product";
import { linear } from "./linear";
import { mix } from "./mix";
import { layerNorm, rmsNorm } from "./norm";
import { splitPlanes } from "./planes";
import { quantise } from "./quantise";
import { quantiseBytes } from "./quantise-bytes";
import { rotate } from "./rope";
import { embed, gather } from "./rows";
import { scan } from "./scan";
import { sumRows } from "./sum-rows";

/** Runs this thread's share of a command. Traps on an unknown opcode. */
export function execute(opcode: i32, args: usize, thread: i32, threads: i32): void {
  switch (opcode) {
    case LINEAR: return linear(args, thread, threads);
    case QUANTISE: return quantise(args, thread, threads);
    case QUANTISE_BYTES: return quantiseBytes(args, thread, threads);
    case EMBED: return embed(args, thread, threads);
    case RMS_NORM: return rmsNorm(args, thread, threads);
    case LAYER_NORM: return layerNorm(args, thread, threads);
    case ADD: return add(args, thread, threads);
    case MAP: return map(args, thread, threads);
    case ROTATE: return rotate(args, thread, threads);
    case GATHER: return gather(args, thread, threads);
    case APPEND: return append(args, thread, threads);
    case ROTATE_PAGES: return rotatePages(args, thread, threads);
    case ATTENTION: return attention(args, thread, threads);
    case ATTENTION_MERGE: return attentionMerge(args, thread, threads);
    case PACK_EIGHTS: return packEights(args, thread, threads);
    case SPLIT_PLANES: return splitPlanes(args, thread, threads);
    case CONVOLUTION: return convolution(args, thread, threads);
    case SCAN: return scan(args, thread, threads);
    case MIX: return mix(args, thread, threads);
    case FLOAT_PRODUCT: return floatProduct(args, thread, threads);
    case CROSS_ENTROPY: return crossEntropy(args, thread, threads);
    case SUM_ROWS: return sumRows(args, thread, threads);
    default: unreachable();
  }
}
