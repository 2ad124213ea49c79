// What a call that writes a layer's keys and values of a step is told: a record of words in memory, by byte offset, and a
// list of records of its parts. Plain constants, so that both compilers read this one file.

// The call.
export const KEYS = 0; // f32 rows of KEY_STRIDE bytes, of all heads of the layer; 0: nothing is written but bounds
export const KEY_STRIDE = 4;
export const VALUES = 8;
export const VALUE_STRIDE = 12;
export const WIDTH = 16; // D
export const VALUE_WIDTH = 20; // Dv
export const ANGLES = 24; // rows of rotations (see rope.ts), or 0
export const ANGLE_DIMS = 28;
export const ANGLE_LAYOUT = 32;
export const SCRATCH = 36; // the threads'
export const MISFITS = 40; // the word of misfits
export const PARTS = 44; // how many
export const PART_LIST = 48; // their records
export const CALL_BYTES = 52;

// A part: rows of one sequence; a slice (slice-record.ts), then these. An item of work is a page of one head.
export const FIRST_ROW = 40;
export const ROWS = 44;
export const SLOT = 48; // where the first row goes
// Blocks of bounds (bounds.ts), where the pages are to be bounded: the addresses of the blocks, or 0; where the first head's member
// begins in a block, and its bytes; the bounds place of the part's first page.
export const BOUNDS_TABLE = 52;
export const BOUNDS_MEMBER = 56;
export const BOUNDS_MEMBER_BYTES = 60;
export const BOUNDS_AT = 64;
export const PART_BYTES = 68;
