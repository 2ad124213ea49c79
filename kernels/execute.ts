// Which kernel a command names.
import {
  ACCUMULATE, ADAM_W, ADD, APPEND, ATTEND_BIASES, ATTEND_MERGE, ATTEND_PACK, ATTEND_ROWS, ATTEND_ROWS_BACK,
  ATTENTION, ATTENTION_MERGE, CONVOLUTION, CONVOLUTION_BACK, COPY, CROSS_ENTROPY, EMBED, FLOAT_PRODUCT, GATED_BACK,
  GATHER, LAYER_NORM, LAYER_NORM_BACK, LINEAR, MAP, MAP_BACK, MERGE_PARTS, MIX, MIX_BACK, PACK_EIGHTS,
  QUANTISE, QUANTISE_BYTES, QUANTISE_PAIRS, RMS_NORM, RMS_NORM_BACK, ROTATE, ROTATE_PAGES, SCAN, SCAN_BACK, SCAN_MERGE, SCATTER_ROWS,
  SELECT_PAGES, SELECT_SCORES,
  SPLIT_PLANES, SQUARES, SQUARES_SUM, SUM_ROWS, TURN_BACK, ZERO,
} from "./abi";
import { attention, attentionMerge, selectPages, selectScores } from "./attention";
import { append, rotatePages } from "./kv";
import { linear } from "./linear";
import { packEights, quantise, quantiseBytes, quantisePairs, splitPlanes } from "./quantise";
import { add, embed, gather, layerNorm, map, mix, rmsNorm, rotate } from "./rows";
import { convolution, scan } from "./state-space";
import {
  accumulate, adamW, attendBiases, attendMerge, attendPack, attendRows, attendRowsBack, convolutionBack, copy,
  crossEntropy, floatProduct, gatedBack, layerNormBack, mapBack, mergeParts, mixBack, rmsNormBack, scanBack,
  scanMerge, scatterRows, squares, squaresSum, sumRows, turnBack, zero,
} from "./training";

/** Runs this thread's share of a command. Traps on an unknown opcode. */
export function execute(opcode: i32, args: usize, thread: i32, threads: i32): void {
  switch (opcode) {
    case LINEAR: return linear(args, thread, threads);
    case QUANTISE: return quantise(args, thread, threads);
    case QUANTISE_BYTES: return quantiseBytes(args, thread, threads);
    case QUANTISE_PAIRS: return quantisePairs(args, thread, threads);
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
    case SELECT_SCORES: return selectScores(args, thread, threads);
    case SELECT_PAGES: return selectPages(args, thread, threads);
    case PACK_EIGHTS: return packEights(args, thread, threads);
    case SPLIT_PLANES: return splitPlanes(args, thread, threads);
    case CONVOLUTION: return convolution(args, thread, threads);
    case SCAN: return scan(args, thread, threads);
    case MIX: return mix(args, thread, threads);
    case ZERO: return zero(args, thread, threads);
    case COPY: return copy(args, thread, threads);
    case ACCUMULATE: return accumulate(args, thread, threads);
    case SCATTER_ROWS: return scatterRows(args, thread, threads);
    case MERGE_PARTS: return mergeParts(args, thread, threads);
    case TURN_BACK: return turnBack(args, thread, threads);
    case RMS_NORM_BACK: return rmsNormBack(args, thread, threads);
    case LAYER_NORM_BACK: return layerNormBack(args, thread, threads);
    case MAP_BACK: return mapBack(args, thread, threads);
    case GATED_BACK: return gatedBack(args, thread, threads);
    case MIX_BACK: return mixBack(args, thread, threads);
    case CONVOLUTION_BACK: return convolutionBack(args, thread, threads);
    case SCAN_BACK: return scanBack(args, thread, threads);
    case SCAN_MERGE: return scanMerge(args, thread, threads);
    case SQUARES: return squares(args, thread, threads);
    case SQUARES_SUM: return squaresSum(args, thread, threads);
    case ADAM_W: return adamW(args, thread, threads);
    case FLOAT_PRODUCT: return floatProduct(args, thread, threads);
    case CROSS_ENTROPY: return crossEntropy(args, thread, threads);
    case SUM_ROWS: return sumRows(args, thread, threads);
    case ATTEND_PACK: return attendPack(args, thread, threads);
    case ATTEND_BIASES: return attendBiases(args, thread, threads);
    case ATTEND_ROWS: return attendRows(args, thread, threads);
    case ATTEND_ROWS_BACK: return attendRowsBack(args, thread, threads);
    case ATTEND_MERGE: return attendMerge(args, thread, threads);
    default: unreachable();
  }
}
