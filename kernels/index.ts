// Entry of the kernels' module. The kernels are exported too: tests call them directly, and an exported function is never
// inlined into the pool's long loops, where the engine could not swap in its optimised code.
export { announce, awaitList, heapBase, runAlone, take } from "./pool";
export { execute } from "./execute";
export { crossEntropy } from "./cross-entropy";
export { floatProduct } from "./float-product";
export { linear } from "./linear";
export { probeBytes } from "./linear-bytes";
export { quantise } from "./quantise";
export { quantiseBytes } from "./quantise-bytes";
export { unpackRow } from "./unpack";
export { embed, gather } from "./rows";
export { layerNorm, rmsNorm } from "./norm";
export { add, map } from "./elementwise";
export { convolution } from "./convolution";
export { scan } from "./scan";
export { mix } from "./mix";
export { rotate } from "./rope";
export { append, rotatePages } from "./append";
export { attention } from "./attention";
export { attentionMerge } from "./attention-merge";
export { packEights } from "./eights";
export { splitPlanes } from "./planes";
export { sumRows } from "./sum-rows";
export { attendMerge } from "./attend-merge";
export { attendBiases, attendPack } from "./attend-pack";
export { attendRows } from "./attend-rows";
export { attendRowsBack } from "./attend-rows-back";
