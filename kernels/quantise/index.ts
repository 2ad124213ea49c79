// Numbers in other forms: activations as integers of 16 or 8 bits or in planes, weights unpacked, packed or laid out anew.
// May call vector/; called by commands, by linear/ and by rows/ (embeddings).
export { packEights } from "./eights";
export { splitPlanes } from "./planes";
export { quantise } from "./quantise";
export { quantiseBytes } from "./quantise-bytes";
export { quantisePairs } from "./quantise-pairs";
export { unpackRow } from "./unpack";
