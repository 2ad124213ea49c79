/** Gradients: a tape over the operations of a backend. */
export { RecordingBackend, type RecordingOptions } from "./recording-backend.js";
export { Tape } from "./tape.js";
