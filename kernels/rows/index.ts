// What is done to rows of activations one by one: sums, functions, gates, norms, rotations, gathering, the sum of experts.
// May call vector/ and quantise/.
export { add, map } from "./elementwise";
export { mix } from "./mix";
export { layerNorm, rmsNorm } from "./norm";
export { rotate } from "./rope";
export { embed, gather } from "./rows";
