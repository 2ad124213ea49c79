/**
 * From a reference to a model: in place or in a thread, files found and opened, memory planned, weights read and checked, and
 * what a browser keeps of them. The public entries call it; nothing else of the engine does.
 */
export { load } from "./load.js";
export { loadLocal } from "./load-local.js";
export { deleteStored, storedModels } from "./stored-models.js";
