/** Evaluation: tasks with right answers, and looks into a model. */
export {
  type AttentionMass,
  type AttentionMassOptions,
  attentionMass,
  type HeadMass,
  type LayerMass,
} from "./attention-mass.js";
export { type FindGatesOptions, type FoundGates, findGates, type LayerScores } from "./gates/find-gates.js";
export { type PageShares, PageStudy, type PageStudyOptions, type ReadText, readText } from "./page-study.js";
export * from "./tasks/passkey.js";
export * from "./tasks/passkey-run.js";
