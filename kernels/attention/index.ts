// Attention of inference over pages: tiles of rows, blocks of slots, online softmax, the merge of cut ranges, and the
// choice of pages that are read. May call
// vector/ and kv/, which alone knows how a page is laid out; training has its own, over rows.
export { attention } from "./attention";
export { attentionMerge } from "./attention-merge";
export { selectPages } from "./select-pages";
export { selectScores } from "./select-scores";
