/**
 * Seeded random weights made directly as quantised blocks: no floats are ever quantised, so a gigabyte takes seconds.
 * Elements are the sum of two uniform integers (a triangle around zero, as quantised weights look), scales vary by a
 * factor of three. Block layouts: ggml's block_q8_0 and block_q4_0 (f16 scale, then 32 elements).
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

/** Per format: bytes of a block, standard deviation of an element, and how 32 elements are made of random bits. */
export const FORMATS = {
  q8_0: {
    ggmlType: 8,
    fileType: 7,
    blockBytes: 34,
    // Two uniform 0..127 give 0..254; (x + 1) ^ 0x80 is x - 127 in two's complement: -127..127 in each byte.
    deviation: Math.sqrt((2 * (128 ** 2 - 1)) / 12),
    words: 8,
    word: (a, b) => ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f) + 0x01010101) ^ 0x80808080,
  },
  q4_0: {
    ggmlType: 2,
    fileType: 2,
    blockBytes: 18,
    // Two uniform 0..7 give 1..15 after adding one, stored with an offset of 8: -7..7 in each nibble.
    deviation: Math.sqrt((2 * (8 ** 2 - 1)) / 12),
    words: 4,
    word: (a, b) => (a & 0x77777777) + (b & 0x77777777) + 0x11111111,
  },
};

const CHUNK_BLOCKS = 1 << 17;

/**
 * Chunks of a matrix of `count` elements with standard deviation `sigma`. The buffer of a chunk is used again for the next.
 * @param {keyof typeof FORMATS} format
 * @param {() => number} next
 */
export function* randomBlocks(format, count, sigma, next) {
  const { blockBytes, deviation, words, word } = FORMATS[format];
  const scales = Array.from({ length: 256 }, (_, i) => toHalf((sigma / deviation) * (0.5 + i / 255)));
  const halves = blockBytes / 2;
  const buffer = new Uint16Array(Math.min(CHUNK_BLOCKS, count / 32) * halves);
  for (let left = count / 32; left > 0; left -= CHUNK_BLOCKS) {
    const blocks = Math.min(left, CHUNK_BLOCKS);
    let at = 0;
    for (let block = 0; block < blocks; block++) {
      buffer[at++] = scales[next() >>> 24];
      for (let i = 0; i < words; i++) {
        const bits = word(next(), next());
        buffer[at++] = bits & 0xffff;
        buffer[at++] = bits >>> 16;
      }
    }
    yield new Uint8Array(buffer.buffer, 0, blocks * blockBytes);
  }
}
