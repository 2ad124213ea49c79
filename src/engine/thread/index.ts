/**
 * The engine in a thread of its own: the host that owns the model there, the proxies of model and sessions here, and the
 * messages between them. `load` and the threads' entry files call it; what is served are the faces of api.ts alone.
 */
export { type LoadLocal, serveEngine } from "./host.js";
export { loadRemote } from "./remote-model.js";
