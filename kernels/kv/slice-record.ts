// Where the pages of some KV heads of one sequence lie: the words with which the record of every part of a call begins
// that reads or writes a cache, by byte offset. Plain constants, so that both compilers read this one file.

export const TABLE = 0; // addresses of the pages of the first head, in text order
export const TABLE_STRIDE = 4; // bytes from there to those of the next head; 0: all heads have these pages
export const MEMBER = 8; // where the first head's member begins in a page; those of the next heads follow
export const MEMBER_BYTES = 12;
export const KEY_BYTES = 16; // of a member: its values begin after them
export const KEY_TYPE = 20; // see abi.ts
export const VALUE_TYPE = 24;
export const HEADS = 28; // how many KV heads
export const FIRST_HEAD = 32; // the first one's number in the layer; HEAD_LIST is 0 if the others are its neighbours
export const HEAD_LIST = 36; // i32 [HEADS]: all their numbers
export const SLICE_BYTES = 40;
