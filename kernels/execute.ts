// Which kernel a command names.
import {
  ADD, APPEND, ATTEND_BIASES, ATTEND_MERGE, ATTEND_PACK, ATTEND_ROWS, ATTEND_ROWS_BACK, ATTENTION, ATTENTION_MERGE,
  CONVOLUTION, EMBED, GATHER, LAYER_NORM, LINEAR, MAP, MIX, PACK_EIGHTS, QUANTISE, QUANTISE_BYTES, RMS_NORM, ROTATE,
  ROTATE_PAGES, SCAN, SPLIT_PLANES,
} from "./abi";
import { append, rotatePages } from "./append";
import { attendMerge } from "./attend-merge";
import { attendBiases, attendPack } from "./attend-pack";
import { attendRows } from "./attend-rows";
import { attendRowsBack } from "./attend-rows-back";
import { attention } from "./attention";
import { attentionMerge } from "./attention-merge";
import { convolution } from "./convolution";
import { add, map } from "./elementwise";
import { packEights } from "./eights";
import { linear } from "./linear";
import { mix } from "./mix";
import { layerNorm, rmsNorm } from "./norm";
import { splitPlanes } from "./planes";
import { quantise } from "./quantise";
import { quantiseBytes } from "./quantise-bytes";
import { rotate } from "./rope";
import { embed, gather } from "./rows";
import { scan } from "./scan";

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
    case ATTEND_PACK: return attendPack(args, thread, threads);
    case ATTEND_BIASES: return attendBiases(args, thread, threads);
    case ATTEND_ROWS: return attendRows(args, thread, threads);
    case ATTEND_ROWS_BACK: return attendRowsBack(args, thread, threads);
    case ATTEND_MERGE: return attendMerge(args, thread, threads);
    default: unreachable();
  }
}
