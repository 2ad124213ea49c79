// What a choice of pages is told: the record of a call is that of attention (attention-record.ts), in which OUT, VALUE_WIDTH and
// QUERY_STRIDE mean nothing, ITEMS counts pieces of scores and MERGED_ROWS lists; a part's is this. Plain constants, so that
// both compilers read this one file.

// A part: one row of a sequence through some heads. A slice (kv/slice-record.ts), then these.
export const FIRST_ITEM = 40; // number of its first piece in the call
export const END_ITEM = 44;
export const QUERY = 48; // the row's queries of the newest range, f32 [H][D]
export const PLACE = 52; // the slot at which a distance would be 0
export const SPANS = 56; // i32 [ranges][2], the newest range's last
export const EARLIER = 60; // ranges before the newest
export const EARLIER_PAGES = 64; // pages that they touch
export const BOUNDS_TABLE = 68; // addresses of the blocks of bounds (kv/bounds.ts)
export const BOUNDS_MEMBER = 72; // where the first head's member begins in a block, and its bytes
export const BOUNDS_MEMBER_BYTES = 76;
export const FIRST_BLOCK = 80; // entry of the block with the first candidate
export const LANE = 84; // its place in the block
export const FIRST_PAGE = 88; // its entry in the page table
export const CANDIDATES = 92; // how many, n
export const CHOSEN = 96; // K
export const OLDEST = 100; // chosen whatever they weigh, at both ends
export const NEWEST = 104;
export const PIECES = 108; // of a head's scores
export const SCORES = 112; // for each head f32 [quads][G, rounded up to 4][64], then weights f32 [quads][64]: a quad is four blocks
export const SCORE_BYTES = 116; // of a head, with the weights; there is room for all quads of its pieces
export const LISTS = 120; // what is to be found: page addresses [heads][EARLIER_PAGES + K],
export const ENTRIES = 124; // and i32 [heads][EARLIER_PAGES + K], their entries in the table
export const PART_BYTES = 128;

// Quads of a piece.
export const PIECE_QUADS = 16;
// Pages of a quad.
export const QUAD_PAGES = 64;
