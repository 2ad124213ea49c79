/**
 * What public calls have in common in place and in a thread: options and values checked and copied where the call is made,
 * errors that say where that was, and iterations that can be left at any time. All rooms of the engine may use its files.
 */
export { ASYNC_DISPOSE } from "./async-dispose.js";
export {
  decodeOptions,
  encodeOptions,
  generateOptions,
  loadOptions,
  renderOptions,
  scoreOptions,
  sessionOptions,
} from "./call-options.js";
export { Caller } from "./caller.js";
export { modelDisposed, sessionDisposed } from "./ended.js";
export { CANCELLED, Cancel, leaving } from "./leaving.js";
export { ownIds, ownMessages, ownPrompt, ownText } from "./values.js";
