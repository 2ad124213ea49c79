/**
 * States of llama.cpp for contexts that nobody reads: what a token costs depends on how much is cached, not on what, and
 * reading 131,072 tokens would take hours. A state is made of the rows of a short text that was read, again and again in a
 * random order, in the form in which llama.cpp saves a sequence. Whether that form is understood is tried out each time:
 * the short text's own state, taken apart and put together, must have the same bytes.
 *
 * The form (llama.cpp's src/llama-context.cpp and src/llama-kv-cache.cpp, states of one sequence): magic "ggsq", version, the
 * tokens; the number of streams, of cells; of each cell its place, how many sequences it is of, and which; whether values are
 * transposed, the number of layers; of each layer the type of its keys, the bytes of a row, and a row for each cell; then the same
 * of its values. Numbers are little-endian, of 32 bits, the bytes of a row of 64.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { randomPrompt } from "../make-model.mjs";
import { startEngine } from "./child.mjs";
import { randomBits } from "./random-blocks.mjs";

const FOLDER = fileURLToPath(new URL("../cache", import.meta.url));
const PACKAGE = new URL("../node_modules/node-llama-cpp/package.json", import.meta.url);
/** Raise it when states are made in another way. */
const REVISION = 1;
/** "ggsq". */
const MAGIC = 0x67677371;
const VERSION = 3;
/** Tokens of the short text. */
const READ_TOKENS = 256;
const SEED = 8;
/** Rows that are written at once. */
const BATCH = 4096;

/**
 * @typedef {object} Tensor keys or values of a layer
 * @property {number} type ggml's number
 * @property {Buffer[]} rows of each cell
 *
 * @typedef {object} State
 * @property {Int32Array} tokens
 * @property {Tensor[]} tensors keys of all layers, then values of all layers
 */

/** Takes numbers and rows off the front. */
class Reader {
  at = 0;

  /** @param {Buffer} bytes */
  constructor(bytes) {
    this.bytes = bytes;
  }

  take(count) {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  word() {
    return this.take(4).readUInt32LE();
  }

  /** @throws Error for another number */
  expect(what, wanted, found = this.word()) {
    if (found !== wanted) throw new Error(`llama.cpp's state: expected ${what} ${wanted}, found ${found}`);
  }
}

/** @param {Buffer} bytes of a saved sequence @returns {State} @throws Error where the form is another one */
export function parseState(bytes) {
  const reader = new Reader(bytes);
  reader.expect("the magic number", MAGIC);
  reader.expect("version", VERSION);
  const tokens = Int32Array.from({ length: reader.word() }, () => reader.word());
  reader.expect("streams", 1);
  const cells = reader.word();
  for (let cell = 0; cell < cells; cell++) {
    reader.expect("the place of the cell", cell);
    reader.expect("sequences of a cell", 1);
    reader.expect("sequence", 0);
  }
  reader.expect("transposed values", 0);
  const layers = reader.word();
  const tensors = Array.from({ length: 2 * layers }, () => {
    const type = reader.word();
    const rowBytes = Number(reader.take(8).readBigUInt64LE());
    return { type, rows: Array.from({ length: cells }, () => reader.take(rowBytes)) };
  });
  reader.expect("bytes", bytes.length, reader.at);
  return { tokens, tensors };
}

function words(...values) {
  return Buffer.from(Uint32Array.from(values).buffer);
}

/**
 * What `parseState` reads, piece by piece: the state of the tokens whose rows are those of cell `cellOf(i)` of `state`.
 * @param {State} state
 * @param {Int32Array} tokens
 * @param {(place: number) => number} cellOf
 */
export function* stateBytes({ tensors }, tokens, cellOf = (place) => place) {
  const count = tokens.length;
  yield words(MAGIC, VERSION, count);
  yield Buffer.from(Int32Array.from(tokens).buffer);
  yield words(1, count);
  const cells = new Uint32Array(3 * count);
  for (let place = 0; place < count; place++) cells.set([place, 1, 0], 3 * place);
  yield Buffer.from(cells.buffer);
  yield words(0, tensors.length / 2);
  for (const { type, rows } of tensors) {
    const rowBytes = rows[0].length;
    yield words(type, rowBytes, 0);
    for (let start = 0; start < count; start += BATCH) {
      const batch = Buffer.alloc(Math.min(BATCH, count - start) * rowBytes);
      for (let i = 0; i * rowBytes < batch.length; i++) rows[cellOf(start + i)].copy(batch, i * rowBytes);
      yield batch;
    }
  }
}

/** Bytes of the keys and values of a token. */
export function cellBytes({ tensors }) {
  return tensors.reduce((sum, { rows }) => sum + rows[0].length, 0);
}

/** Reads the short text. @throws Error where its state is not understood */
async function readShort(setup) {
  const { vocabulary } = setup;
  const engine = await startEngine("llama.cpp", { ...setup, contextSize: READ_TOKENS + 64 });
  const file = `${FOLDER}/short-${process.pid}.state`;
  await engine.run({ name: "short", prompt: randomPrompt(READ_TOKENS, SEED, vocabulary), generate: 1, save: file });
  await engine.end();
  const bytes = readFileSync(file);
  rmSync(file);
  const state = parseState(bytes);
  if (!Buffer.concat([...stateBytes(state, state.tokens)]).equals(bytes)) {
    throw new Error("llama.cpp's state has other bytes when it is put together again: its form has changed.");
  }
  return state;
}

/**
 * Files of states of these lengths, made if they are not there.
 * @param {import("./child.mjs").Setup & {kv: string, vocabulary: number}} setup
 * @param {number[]} lengths
 * @returns {Promise<{length: number, file: string, bytes: number}[]>} bytes: of keys and values
 */
export async function madeStates(setup, lengths) {
  mkdirSync(FOLDER, { recursive: true });
  const { version } = JSON.parse(readFileSync(PACKAGE, "utf8"));
  const fileOf = (length) =>
    `${FOLDER}/${basename(setup.model, ".gguf")}-made-${setup.kv}-${length}-${version}-r${REVISION}.state`;
  let short;
  const states = [];
  for (const length of lengths) {
    const file = fileOf(length);
    if (!existsSync(file) || !existsSync(`${file}.json`)) {
      process.stderr.write(`llama.cpp: making a state of ${length} tokens, ${setup.kv} ...\n`);
      short ??= await readShort(setup);
      writeState(file, short, length);
    }
    states.push({ length, file, ...JSON.parse(readFileSync(`${file}.json`, "utf8")) });
  }
  return states;
}

function writeState(file, short, length) {
  const next = randomBits(SEED);
  const cells = Int32Array.from({ length }, () => next() % short.tokens.length);
  const tokens = cells.map((cell) => short.tokens[cell]);
  writeInto(
    `${file}.new`,
    stateBytes(short, tokens, (place) => cells[place]),
  );
  renameSync(`${file}.new`, file);
  writeInto(`${file}.json`, [Buffer.from(`${JSON.stringify({ bytes: length * cellBytes(short) })}\n`)]);
}

function writeInto(path, pieces) {
  const file = openSync(path, "w");
  try {
    for (const piece of pieces) for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
  } finally {
    closeSync(file);
  }
}
