/**
 * Gradients: a tape over the operations of a backend.
 * Unstable: may change in any version (docs/stability.md).
 */
export { RecordingBackend, type RecordingOptions } from "./recording-backend.js";
export { Tape } from "./tape.js";
