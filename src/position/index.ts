/** Rotary positions and their scalings. */
export * from "./rope.js";
export * from "./rope-scaling.js";
