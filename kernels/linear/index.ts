// Matrix products in the weight's own format, and the inner loops for each form of the activations: rows (16 bits), eights
// (planes), bytes and panels (many tokens), floats. May call vector/ and quantise/; commands of ops/linear.ts come here.
export { linear } from "./linear";
export { probeBytes } from "./linear-bytes";
