// The mixers of Mamba and Mamba-2: causal convolution and selective scan, with the state before and after. May call
// vector/; their derivatives are in training/.
export { convolution } from "./convolution";
export { scan } from "./scan";
