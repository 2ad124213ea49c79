/**
 * A session in place: its text, what reads and writes it (generation, scores, conversation, snapshots), and its options with
 * what they mean for a model. The model opens sessions and loading plans for one; the thread's proxies, which are to stay
 * small, import the checks of options from their files.
 */

export { freeingPolicy, withContext } from "./default-context.js";
export { LocalSession } from "./local-session.js";
export { fitNotes, fitTraits } from "./policy-fit.js";
export { Prefixes } from "./prefixes.js";
export type { SessionModel } from "./session-model.js";
export { sessionSettings, settingsFor } from "./session-options.js";
export type { SessionSettings } from "./session-settings.js";
export { openAgain, openSaved } from "./session-snapshot.js";
export { type StopPush, StopStrings } from "./stop-strings.js";
