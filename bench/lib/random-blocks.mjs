/**
 * Seeded random weights made directly as blocks of their format: no floats are ever quantised, so a gigabyte takes seconds.
 * Elements are the sum of two uniform integers (a triangle around zero, as quantised weights look), scales vary by a
 * factor of three. Block layouts: ggml's block_q8_0 and block_q4_0 (f16 scale, then 32 elements), block_q4_K and block_q6_K;
 * f32 is written by 32 too.
 */

/** sfc32 by Chris Doty-Humphrey (PractRand): 32 random bits a call. */
export function randomBits(seed) {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed >>> 0;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** Positive normal f16 nearest below; weights here never need subnormals or infinities. */
function toHalf(value) {
  const exponent = Math.floor(Math.log2(value));
  if (exponent < -14 || exponent > 15) throw new Error(`${value} is no normal f16`);
  return ((exponent + 15) << 10) | Math.floor((value / 2 ** exponent - 1) * 1024);
}

/** Two uniform 0..n-1 added have this standard deviation. */
const deviationOfTwo = (n) => Math.sqrt((2 * (n ** 2 - 1)) / 12);

// Two uniform 0..127 give 0..254; (x + 1) ^ 0x80 is x - 127 in two's complement: -127..127 in each byte.
const wordOfBytes = (a, b) => ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f) + 0x01010101) ^ 0x80808080;
// Two uniform 0..7 give 1..15 after adding one: -7..7 in each nibble where 8 is taken off.
const wordOfNibbles = (a, b) => (a & 0x77777777) + (b & 0x77777777) + 0x11111111;

/** Writes `words` random words as halves from `at` on; where the next half goes. */
function fillWords(out, at, words, word, next) {
  for (let i = 0; i < words; i++) {
    const bits = word(next(), next());
    out[at++] = bits & 0xffff;
    out[at++] = bits >>> 16;
  }
  return at;
}

/** A writer of blocks that are an f16 scale and 32 elements. */
function scaleAndElements(sigma, deviation, words, word) {
  const scales = Array.from({ length: 256 }, (_, i) => toHalf((sigma / deviation) * (0.5 + i / 255)));
  return (out, at, next) => {
    out[at] = scales[next() >>> 24];
    return fillWords(out, at + 1, words, word, next);
  };
}

/** Three 6-bit numbers differ by a factor of three at most: 21..63. */
const LEAST_SCALE = 21;
const RANDOM_SCALES = 43;
const MEAN_SCALE = 42;

/**
 * A writer of block_q4_K: x = d scale q - dmin minimum. With dmin = 8 d and minimum = scale, x is d scale (q - 8),
 * around zero like Q4_0's. The 6-bit scales vary, d hardly: it must not become subnormal.
 */
function superBlocks(sigma) {
  const base = sigma / deviationOfTwo(8) / MEAN_SCALE;
  const ds = Array.from({ length: 256 }, (_, i) => toHalf(base * (0.9 + (0.2 * i) / 255)));
  const eight = 3 << 10;
  const scales = new Uint8Array(8);
  const packed = new Uint8Array(12);
  const halves = new Uint16Array(packed.buffer);
  return (out, at, next) => {
    const d = ds[next() >>> 24];
    out[at] = d;
    out[at + 1] = d + eight;
    for (let j = 0; j < 8; j++) scales[j] = LEAST_SCALE + (next() % RANDOM_SCALES);
    for (let j = 0; j < 4; j++) {
      const upper = scales[j + 4];
      packed[j] = packed[j + 4] = scales[j] | ((upper >> 4) << 6);
      packed[j + 8] = (upper & 15) | ((upper & 15) << 4);
    }
    out.set(halves, at + 2);
    return fillWords(out, at + 8, 32, wordOfNibbles, next);
  };
}

// Two uniform 0..31 give 1..63 after adding one: -31..31 where 32 is taken off.
const wordOfSixBits = (a, b) => (a & 0x1f1f1f1f) + (b & 0x1f1f1f1f) + 0x01010101;

/** A writer of block_q6_K: x = d scale (q - 32), scales 5..15, so that d is no subnormal half. */
function sixBits(sigma) {
  const base = sigma / deviationOfTwo(32) / 10;
  const ds = Array.from({ length: 256 }, (_, i) => toHalf(base * (0.9 + (0.2 * i) / 255)));
  const words = new Uint32Array(52);
  const scales = new Int8Array(words.buffer, 192);
  const halves = new Uint16Array(words.buffer);
  const [nibble, upper] = [0x0f0f0f0f, 0x03030303];
  return (out, at, next) => {
    for (let i = 0; i < 16; i++) {
      // Columns c, c + 32, c + 64, c + 96 of a half of 128, four neighbours at once.
      const low = (i >> 3) * 16 + (i & 7);
      const [q0, q1, q2, q3] = [0, 1, 2, 3].map(() => wordOfSixBits(next(), next()));
      words[low] = (q0 & nibble) | ((q2 & nibble) << 4);
      words[low + 8] = (q1 & nibble) | ((q3 & nibble) << 4);
      const top = (q, shift) => ((q >>> 4) & upper) << shift;
      words[32 + i] = top(q0, 0) | top(q1, 2) | top(q2, 4) | top(q3, 6);
    }
    for (let i = 0; i < scales.length; i++) scales[i] = 5 + (next() % 11);
    out.set(halves, at);
    out[at + halves.length] = ds[next() >>> 24];
    return at + halves.length + 1;
  };
}

/** A writer of 32 floats; the sum of two uniform numbers has a deviation of 1/sqrt(6). */
function floats(sigma) {
  const scale = (sigma * Math.sqrt(6)) / 2 ** 32;
  const values = new Float32Array(32);
  const halves = new Uint16Array(values.buffer);
  return (out, at, next) => {
    for (let i = 0; i < values.length; i++) values[i] = (next() + next() - 2 ** 32) * scale;
    out.set(halves, at);
    return at + halves.length;
  };
}

/** Per format: ids of tensor type and file type, elements and bytes of a block, and a writer of random blocks. */
export const FORMATS = {
  f32: {
    ggmlType: 0,
    fileType: 0,
    blockElements: 32,
    blockBytes: 128,
    writer: floats,
  },
  q8_0: {
    ggmlType: 8,
    fileType: 7,
    blockElements: 32,
    blockBytes: 34,
    writer: (sigma) => scaleAndElements(sigma, deviationOfTwo(128), 8, wordOfBytes),
  },
  q4_0: {
    ggmlType: 2,
    fileType: 2,
    blockElements: 32,
    blockBytes: 18,
    writer: (sigma) => scaleAndElements(sigma, deviationOfTwo(8), 4, wordOfNibbles),
  },
  q4_k: {
    ggmlType: 12,
    fileType: 14,
    blockElements: 256,
    blockBytes: 144,
    writer: superBlocks,
  },
  q6_k: {
    ggmlType: 14,
    fileType: 18,
    blockElements: 256,
    blockBytes: 210,
    writer: sixBits,
  },
};

/** llama.cpp's use_more_bits: the first and the last eighth of the layers, and every third between. */
function hasMoreBits(layer, layers) {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

/** Mixtures: the file type, and the format of a matrix. */
export const MIXTURES = {
  q4_k_m: {
    fileType: 15,
    formatOf: (name, layers) => {
      const [, layer] = /^blk\.(\d+)\.(?:attn_v|ffn_down)$/.exec(name) ?? [];
      return name === "output" || (layer !== undefined && hasMoreBits(Number(layer), layers)) ? "q6_k" : "q4_k";
    },
  },
};

/** @param {keyof typeof FORMATS} format @param {number} count elements */
export function bytesOf(format, count) {
  const { blockElements, blockBytes } = FORMATS[format];
  return (count / blockElements) * blockBytes;
}

const CHUNK_ELEMENTS = 1 << 22;

/**
 * Chunks of a matrix of `count` elements with standard deviation `sigma`. The buffer of a chunk is used again for the next.
 * @param {keyof typeof FORMATS} format
 * @param {() => number} next
 */
export function* randomBlocks(format, count, sigma, next) {
  const { blockElements, blockBytes, writer } = FORMATS[format];
  const write = writer(sigma);
  const buffer = new Uint16Array(bytesOf(format, Math.min(CHUNK_ELEMENTS, count)) / 2);
  for (let left = count; left > 0; left -= CHUNK_ELEMENTS) {
    const blocks = Math.min(left, CHUNK_ELEMENTS) / blockElements;
    let at = 0;
    for (let block = 0; block < blocks; block++) at = write(buffer, at, next);
    yield new Uint8Array(buffer.buffer, 0, blocks * blockBytes);
  }
}
