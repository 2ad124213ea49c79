// Derivatives, attention over rows, the loss, f32 products and the optimizer: what training needs beside inference, with
// the same bits on any number of threads. May call every other folder; none of them calls it.
export { adamW, squares, squaresSum } from "./adamw";
export { attendMerge } from "./attend-merge";
export { attendBiases, attendPack } from "./attend-pack";
export { attendRows } from "./attend-rows";
export { attendRowsBack } from "./attend-rows-back";
export { crossEntropy } from "./cross-entropy";
export { floatProduct } from "./float-product";
export { sumRows } from "./sum-rows";
export { convolutionBack } from "./train-convolution";
export { gatedBack, mapBack } from "./train-elementwise";
export { mixBack } from "./train-mix";
export { layerNormBack, rmsNormBack } from "./train-norm";
export { accumulate, copy, mergeParts, scatterRows, turnBack, zero } from "./train-rows";
export { scanBack, scanMerge } from "./train-scan";
