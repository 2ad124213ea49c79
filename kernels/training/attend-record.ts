// What a call of attention for training is told: a record of words in memory, by byte offset, and the plan of its
// visits. Plain constants, so that both compilers read this one file. Addresses of columns are those of the first head
// of the call.
//
// A tile is TILE_ROWS rows at most of one KV head (row = t * G + g). It visits the pages (16 keys) that some of its
// rows see: VISIT_BYTES each of page, which rows see any of it and whether all of them see all of it (first | end << 8
// | whole << 16), and slot of the partial result of dk and dv (below). A chunk is a run of tiles; backward, one thread
// works on a chunk of one KV head and sums dk and dv of each page that the chunk visits in a slot of its own.

export const VISIT_BYTES = 12;
export const VISIT_WHOLE = 65536;

// The problem.
export const Q = 0; // f32 rows of Q_STRIDE bytes
export const Q_STRIDE = 4;
export const K = 8;
export const K_STRIDE = 12;
export const V = 16;
export const V_STRIDE = 20;
export const KEYS = 24; // N
export const PAGES = 28; // of N
export const SPANS = 32; // i32 [T][R][2]
export const RANGES = 36; // R
export const ROWS = 40; // T * G
export const WIDTH = 44; // D
export const VALUE_WIDTH = 48; // Dv
export const GROUP = 52; // G
export const HEADS = 56; // KV heads
export const SCALE = 60; // f32
export const SOFTCAP = 64; // f32, or 0
export const BIAS = 68; // kind, see abi.ts
export const PLACES = 72; // i32 [T][R]
export const BIASES = 76; // slopes, or rows of biases as in attention-adjust.ts
export const REACH = 80;
export const SINKS = 84; // f32 [heads * G], or 0
export const OUT = 88;
export const OUT_STRIDE = 92;
export const LOG_SUMS = 96;
export const LOG_STRIDE = 100;

// Pages of keys and values of all KV heads, [heads][PAGES]: columns are [width][16], rows [16][width]; 0 where not
// wanted.
export const KEY_COLUMNS = 104;
export const KEY_ROWS = 108;
export const VALUE_COLUMNS = 112;
export const VALUE_ROWS = 116;

// The plan.
export const TILES = 120;
export const TILE_HEIGHT = 124; // rows of all tiles but the last
export const TILE_STARTS = 128; // i32 [tiles + 1]: number of the first visit
export const VISITS = 132;
export const CHUNKS = 136;
export const CHUNK_TILES = 140; // i32 [chunks + 1]: first tile
export const CHUNK_SLOTS = 144; // i32 [chunks + 1]: first slot
export const SLOT_OF = 148; // i32 [chunks][PAGES]: slot, or -1

// Backward.
export const D_OUT = 152; // rows of OUT_STRIDE bytes
export const DQ = 156; // rows of Q_STRIDE bytes
export const DK = 160;
export const DV = 164;
export const PARTIALS = 168; // f32 [heads][slots] of [16][D] for dk, then [16][Dv] for dv
export const SINK_PARTIALS = 172; // f32 [chunks][heads * G], or 0
export const SINKS_GRADIENT = 176;
export const TABLE_PARTIALS = 180; // rows as those of BIASES, [chunks][heads * G], or 0
export const TABLE_GRADIENT = 184; // f32 [buckets][all query heads]
export const TABLE_COLUMNS = 188;
export const BUCKETS = 192; // i32 [2 reach + 1]
export const TABLE = 196; // f32, laid as TABLE_GRADIENT

export const WIDE = 200; // whether the wide module is in the table

export const RECORD_BYTES = 204;
