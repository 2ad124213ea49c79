// Entry of the kernels' module: a folder a family, each with an index that says what lives there and who may call it;
// vector/ has the small functions that all share. The kernels are exported too: tests call them directly, and an exported
// function is never inlined into the pool's long loops, where the engine could not swap in its optimised code.
export { announce, awaitList, heapBase, runAlone, take } from "./pool";
export { execute } from "./execute";
export { linear, probeBytes } from "./linear";
export { packEights, quantise, quantiseBytes, quantisePairs, splitPlanes, unpackRow } from "./quantise";
export { embed, gather, layerNorm, rmsNorm, add, map, mix, rotate } from "./rows";
export { convolution, scan } from "./state-space";
export { append, rotatePages } from "./kv";
export { attention, attentionMerge, selectPages, selectScores } from "./attention";
export {
  attendBiases, attendMerge, attendPack, attendRows, attendRowsBack, crossEntropy, floatProduct, sumRows,
} from "./training";
