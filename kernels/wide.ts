// The inner loops of prefill and attention for engines that can join neighbouring 128-bit operations into 256-bit ones. A module
// of its own, so that the host may compile these few functions, and no others, in that way (see compileWide in
// src/util/platform.ts). Operations come in neighbouring pairs throughout. Products of integers (linear/wide-integers.ts), of
// floats (linear/wide-floats.ts) and of training (training/wide-product.ts), attention (attention/attention-wide.ts) and
// attention in training (training/attend-tiles-wide.ts).
export { addToKeysWide, addToRowsWide, scoreBlockWide, scoreRowsWide } from "./training/attend-tiles-wide";
export { weighRows as weighWide } from "./training/attend-weights";
export { addFourRows, addOneRow, addTwoRows } from "./attention/attention-halves-add-wide";
export { scoreFourRows, scoreOneRow, scoreTwoRows } from "./attention/attention-halves-wide";
export { weighNibbles } from "./attention/attention-nibbles";
export { addNibbles4, scoreNibbles4 } from "./attention/attention-nibbles-wide";
export { addWide, scoreWide, softmaxWide } from "./attention/attention-wide";
export { floatsWide } from "./linear/wide-floats";
export { multiply, multiplyNibbles, multiplySixteen } from "./linear/wide-integers";
export { planesWide } from "./linear/planes-wide";
export { productWide } from "./training/wide-product";
