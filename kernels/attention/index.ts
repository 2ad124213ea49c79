// Attention of inference over pages: tiles of rows, blocks of slots, online softmax, and the merge of cut ranges. May call
// vector/ and kv/, which alone knows how a page is laid out; training has its own, over rows.
export { attention } from "./attention";
export { attentionMerge } from "./attention-merge";
