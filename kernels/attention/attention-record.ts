// What a call of attention is told: a record of words in memory, by byte offset, and a list of records of its parts. Plain
// constants, so that both compilers read this one file.

// The call: what all parts share. Rows are those of the whole call, columns those of all heads of the layer.
export const OUT = 0; // f32 rows of OUT_STRIDE bytes
export const OUT_STRIDE = 4;
export const QUERY_STRIDE = 8; // bytes of a row of the queries
export const WIDTH = 12; // D
export const VALUE_WIDTH = 16; // Dv
export const GROUP = 20; // G: query heads of a KV head
export const SCALE = 24; // f32
export const ADJUSTED = 28; // whether scores do not go to the softmax as they are (attention-adjust.ts)
export const SOFTCAP = 32; // f32, or 0
export const BIAS = 36; // kind, see abi.ts
export const BIASES = 40; // slopes, f32 [query heads], or rows of biases, f32 [query heads][2 REACH + 2 BLOCK_SLOTS]
export const REACH = 44;
export const SINKS = 48; // f32 [query heads], or 0
export const WIDE = 52; // whether the wide module's functions (attention-wide.ts) are in the table
export const SCRATCH = 56; // the threads'
export const PARTS = 60; // how many
export const PART_LIST = 64; // their records, in the order of their items
export const ITEMS = 68; // of all parts
export const MERGED_ROWS = 72; // rows that ATTENTION_MERGE makes: those of the parts that have chunks, for each of their heads
export const CALL_BYTES = 76;

// A part: rows of one sequence that see the same slots through some heads. A slice (kv/slice-record.ts), then these.
export const FIRST_ITEM = 40; // number of its first item in the call
export const END_ITEM = 44;
export const FIRST_TOKEN = 48; // its first row in the call's tensors
export const ROWS = 52; // T * G
export const RANGES = 56; // R
export const QUERIES = 60; // for each range the address of its queries, those of the call's first row
export const SPANS = 64; // i32 [T][R][2]
export const PLACES = 68; // i32 [T][R], where there are biases: the slot at which a distance would be 0
export const TILES = 72; // of its rows
export const CHUNKS = 76; // pieces of long ranges, or 0: an item does all ranges
export const CHUNK_LIST = 80; // CHUNK_BYTES each
export const PARTIALS = 84; // what the chunks leave: [chunks][heads][T * G] records (attention-write.ts)
export const ENTRIES = 88; // where the slice's tables are lists of chosen pages: i32 [heads][TABLE_STRIDE / 4], their entries in the table
export const PART_BYTES = 92;

// A chunk.
export const CHUNK_RANGE = 0;
export const CHUNK_START = 4; // its slots [start, end)
export const CHUNK_END = 8;
export const CHUNK_BYTES = 12;
