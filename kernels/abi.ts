// The numbers that the kernels and their TypeScript caller share: opcodes, the command format, the control block.
// Plain constants, so that both compilers read this one file.

// A command is 32 words: opcode, flags, 29 words of arguments (i32 or f32, each kernel documents its own), and a counter
// from which threads may draw work items. It starts at zero, and so do the words before it from RANGE_COUNTERS on, which
// kernels with few arguments may use as further counters.
export const COMMAND_BYTES = 128;
export const COMMAND_ARGS = 8;
// Byte offset of the counter from a command's arguments.
export const COUNTER = 116;
export const RANGE_COUNTERS = 64;
export const RANGES = 13;

// Flags of a command.
// All threads work on it; otherwise the first thread alone does.
export const PARALLEL = 1;
// All threads meet before it: it reads or overwrites what commands since the last meeting wrote or read.
export const MEET_BEFORE = 2;

// The control block of a memory: byte offsets. Words that different threads write lie in cache lines of their own. Threads
// wait for lists at the first memory's block, wherever a list lies; they meet and fail at the block of the list's memory.
export const EPOCH = 0; // counts the lists handed out
export const EPOCH_SLEEPERS = 4;
export const LIST = 8; // address and length of the current list
export const LIST_COUNT = 12;
export const LIST_PLACE = 16; // number of the memory in which the list lies
export const ARRIVED = 64; // threads that wait at the barrier
export const GENERATION = 68; // counts the barriers passed
export const GENERATION_SLEEPERS = 72;
export const FAILURE = 128; // 0, or why the pool can no longer be used
export const STOP = 132; // 1: the threads end
export const CONTROL_BYTES = 192;

// A LIST_PLACE that is no list: threads leave WebAssembly to be told of a further memory.
export const NO_PLACE = -1;

// Values of FAILURE.
export const FAILED_TRAP = 1; // a kernel trapped on some thread
export const FAILED_STALL = 2; // a thread did not arrive in time

// Opcodes.
export const LINEAR = 1;
export const QUANTISE = 2;
export const EMBED = 3;
export const RMS_NORM = 4;
export const ADD = 5;
export const MAP = 6;
export const ROTATE = 7;
export const GATHER = 8;
export const APPEND = 9;
export const ROTATE_PAGES = 10;
export const ATTENTION = 11;
export const ATTENTION_MERGE = 12;
export const PACK_EIGHTS = 13;
export const SPLIT_PLANES = 14;
export const QUANTISE_BYTES = 15;
export const LAYER_NORM = 16;
export const CONVOLUTION = 17;
export const SCAN = 18;
export const MIX = 19;
export const QUANTISE_PAIRS = 80;
export const SELECT_SCORES = 81;
export const SELECT_PAGES = 82;
// Of training. Products and losses from 20, attention from 30, rows from 40, state spaces from 60, optimizers from 70.
export const ZERO = 40;
export const COPY = 41;
export const ACCUMULATE = 42;
export const SCATTER_ROWS = 43;
export const MERGE_PARTS = 44;
export const TURN_BACK = 45;
export const RMS_NORM_BACK = 46;
export const LAYER_NORM_BACK = 47;
export const MAP_BACK = 48;
export const GATED_BACK = 49;
export const MIX_BACK = 50;
export const CONVOLUTION_BACK = 60;
export const SCAN_BACK = 61;
export const SCAN_MERGE = 62;
export const SQUARES = 70;
export const SQUARES_SUM = 71;
export const ADAM_W = 72;
export const FLOAT_PRODUCT = 20;
export const CROSS_ENTROPY = 21;
export const SUM_ROWS = 22;
export const ATTEND_PACK = 30;
export const ATTEND_BIASES = 31;
export const ATTEND_ROWS = 32;
export const ATTEND_ROWS_BACK = 33;
export const ATTEND_MERGE = 34;

// Added to ggml's number of a weight's type: the weight lies by eights (see eights.ts).
export const EIGHTS = 1000;
// What laying it out takes of a thread's scratch memory beside eight rows.
export const EIGHTS_PACK_SCRATCH = 3072;

// Forms of LINEAR. For many tokens a weight is unpacked into panels, which meet activations of 16 bits, or floats where the
// weight is of floats (linear-panel.ts), or of 8 bits (linear-bytes.ts). For few tokens it is streamed (linear-rows.ts,
// linear-float-rows.ts), or lies by eights and meets 16 bits in planes (linear-eights.ts). A token's bits depend on the
// form, not on the other tokens.
export const SIXTEEN_BITS = 0;
export const BYTES_NIBBLES = 1; // 16-bit sums, weights up to 63
export const BYTES_FOUR = 2; // 32-bit sums
export const BYTES_WIDE = 3; // 32-bit sums by the wide module (wide.ts)
export const PLANES = 4;
export const PLANES_WORDS = 5; // 32-bit sums
export const FLOATS_WIDE = 6; // panels of floats by the wide module: the bits of SIXTEEN_BITS
export const STREAMED = 7; // few tokens: 16 bits, or floats
export const NIBBLES_WIDE = 8; // by the wide module, the bits of BYTES_NIBBLES
export const SIXTEEN_WIDE = 9; // by the wide module, the bits of SIXTEEN_BITS; quantised weights only
export const PLANES_WIDE = 10; // 16-bit sums by the wide module: the bits of PLANES

// Functions of MAP.
export const SILU = 0;
export const GELU = 1;
export const RELU = 2;
export const GELU_ERF = 3;
export const SCALE = 4;
export const CLAMP = 5;
export const SOFTCAP = 6;
export const CLAMPED_SWIGLU = 7;

// Rotary layouts.
export const INTERLEAVED = 0;
export const HALVES = 1;

// Places of the wide module's functions (wide.ts) in the function table.
export const WIDE_SLOT = 1; // multiply
export const WIDE_SCORES = 2;
export const WIDE_SOFTMAX = 3;
export const WIDE_ADD = 4;
export const WIDE_FLOATS = 5;
export const WIDE_PRODUCT = 6;
export const WIDE_BLOCK_SCORES = 7; // attention in training from here on
export const WIDE_ROW_SCORES = 8;
export const WIDE_WEIGHTS = 9;
export const WIDE_TO_ROWS = 10;
export const WIDE_TO_KEYS = 11;
export const WIDE_NIBBLES = 12; // multiplyNibbles
export const WIDE_SIXTEEN = 13; // multiplySixteen
export const WIDE_PLANES = 14; // products of few tokens with weights by eights
export const WIDE_SCORE_ONE_ROW = 18; // half floats as they are (attention-halves-wide.ts) from here on
export const WIDE_ADD_ONE_ROW = 19;
export const WIDE_SCORE_TWO_ROWS = 20;
export const WIDE_ADD_TWO_ROWS = 21;
export const WIDE_SCORE_FOUR_ROWS = 22;
export const WIDE_ADD_FOUR_ROWS = 23;
export const WIDE_SCORE_NIBBLES = 28; // pages of 4 bits (attention-nibbles-wide.ts) from here on
export const WIDE_ADD_NIBBLES = 29;
export const WIDE_WEIGH_NIBBLES = 30;

// Biases of attention by distance.
export const BIAS_NONE = 0;
export const BIAS_LINEAR = 1;
export const BIAS_TABLE = 2;

// Rows of a tile of attention at most, and slots of a block: the scores of a tile are [TILE_ROWS][BLOCK_SLOTS].
export const TILE_ROWS = 64;
export const BLOCK_SLOTS = 64;

// Cache types.
export const KV_F32 = 0;
export const KV_F16 = 1;
export const KV_Q8 = 2;
export const KV_Q4 = 3;

// Magnitude of keys that are too large to be bounded (kv/bounds.ts): BOUNDED_RANGE of src/tensor/kv.ts.
export const BOUNDED_RANGE = 32768;

// What numbers that do not fit into the cache leave in a memory's word of misfits, as bits (see append.ts).
export const MISFIT_RANGE = 1; // beyond the range of the cache's type
export const MISFIT_NUMBER = 2; // infinite, or not a number

// Scratch memory of one thread, shared by all kernels; holds nothing between commands.
export const SCRATCH_BYTES = 327680;
// The widest attention head that the scratch memory is laid out for.
export const MAX_HEAD_WIDTH = 512;
