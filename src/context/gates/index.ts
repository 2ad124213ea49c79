/** Gates of attention heads: files, the heads that stream by them, and how they fit a model. */
export { gatesJson, gatesOfValue, MOST_GATES_BYTES, parseGates } from "./gates-file.js";
export { GATES_NAME, type GatedModel, type GatesOrigin, type HeadGates, noneRetrieves } from "./head-gates.js";
export {
  fitAllGates,
  fitGates,
  type GatedShapes,
  type GatesByName,
  type ModelGates,
  requireSameModel,
} from "./model-gates.js";
export { streamingHeads } from "./streaming-heads.js";
