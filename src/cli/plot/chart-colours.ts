/** What all parts of a chart are drawn with. */

/** Colours that colour-blind readers tell apart (Okabe and Ito, 2008), without the yellow, which is faint on white. */
export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
export const TEXT = "#222222";
export const FAINT = "#555555";
export const GRID = "#e4e4e4";
export const FONT = "Helvetica, Arial, sans-serif";
