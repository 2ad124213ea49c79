/**
 * llama.cpp's long prefills take minutes, so the state after each is saved in bench/cache with what it cost, and later runs
 * start from there. A state is believed when decoding from it writes the ids that were written when it was fresh.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { startEngine } from "./child.mjs";
import { isDisturbed, watchOthers } from "./other-load.mjs";

const FOLDER = fileURLToPath(new URL("../cache", import.meta.url));
const PACKAGE = new URL("../node_modules/node-llama-cpp/package.json", import.meta.url);
/** Raise it when states are made in another way. */
const REVISION = 1;
/** Tokens decoded to compare a restored state with the fresh one. */
const CHECKED_TOKENS = 8;

/**
 * @typedef {object} PeerState
 * @property {string} file
 * @property {number} tokens
 * @property {number} prefillMs of all its tokens, from an empty context
 * @property {number} others most cores that other processes kept busy meanwhile
 * @property {string} date
 * @property {number} waiting the first token written after the prompt
 * @property {number[]} ids that were written from the fresh state after `waiting`
 * @property {[number, number][]} top most likely first tokens
 */

/** Where the state of this prompt is, for this peer on this machine. */
function stateFile(setup, prompt) {
  const { version } = JSON.parse(readFileSync(PACKAGE, "utf8"));
  const what = [REVISION, basename(setup.model), setup.threads, version, cpus()[0]?.model, prompt.join()];
  const hash = createHash("sha256").update(JSON.stringify(what)).digest("hex").slice(0, 12);
  return `${FOLDER}/${basename(setup.model, ".gguf")}-${prompt.length}-${hash}.state`;
}

/** @returns {PeerState | undefined} */
function savedState(file) {
  return existsSync(file) && existsSync(`${file}.json`)
    ? { ...JSON.parse(readFileSync(`${file}.json`, "utf8")), file }
    : undefined;
}

/** Reads on from `before` to the end of `prompt`, saves, and decodes a little. */
async function makeState(engine, file, prompt, before) {
  const others = watchOthers();
  const leg = { name: `prefill to ${prompt.length}`, prompt: prompt.slice(before?.tokens ?? 0), generate: 1, top: 40 };
  const restore = before && { restore: { file: before.file } };
  const result = await engine.run({ ...leg, ...restore, save: file });
  const busy = others(result.cpuMs);
  const fresh = await engine.run({ name: "fresh", keep: true, prompt: [], generate: CHECKED_TOKENS });
  const state = {
    tokens: prompt.length,
    prefillMs: (before?.prefillMs ?? 0) + result.prefillMs,
    others: Math.max(before?.others ?? 0, busy),
    date: new Date().toISOString(),
    waiting: result.ids[0],
    ids: fresh.ids,
    top: result.top,
  };
  writeFileSync(`${file}.json`, `${JSON.stringify(state)}\n`);
  return { ...state, file };
}

/**
 * States after the first `lengths` tokens (ascending) of the prompt. Those that are not saved are made, each from the one
 * before. Those whose prefill was disturbed are made again too, if `renew`.
 * @param {import("./child.mjs").Setup} setup
 * @param {number[]} prompt
 * @param {number[]} lengths
 * @param {{renew: boolean}} options
 * @returns {Promise<PeerState[]>}
 */
export async function peerStates(setup, prompt, lengths, { renew }) {
  mkdirSync(FOLDER, { recursive: true });
  const states = [];
  let engine;
  for (const length of lengths) {
    const start = prompt.slice(0, length);
    const file = stateFile(setup, start);
    const saved = savedState(file);
    if (saved && !(renew && isDisturbed(saved.others, setup.threads))) {
      states.push(saved);
      continue;
    }
    process.stderr.write(`llama.cpp: prefill of ${length} tokens, paid once ...\n`);
    if (!engine) engine = await warmEngine(setup);
    states.push(await makeState(engine, file, start, states.at(-1)));
  }
  await engine?.end();
  return states;
}

async function warmEngine(setup) {
  const engine = await startEngine("llama.cpp", setup);
  await engine.run({ name: "warm-up", prompt: Array.from({ length: 64 }, (_, i) => i + 1), generate: 4 });
  return engine;
}

/** Continues the engine from the state. @throws Error when it writes other ids than it did from the fresh state */
export async function restoreState(engine, { file, tokens, waiting, ids }) {
  const check = { name: "check", restore: { file, waiting }, prompt: [], generate: CHECKED_TOKENS };
  const restored = await engine.run(check);
  if (restored.ids.join() !== ids.join()) {
    throw new Error(
      `The state of ${tokens} tokens wrote ${ids} when fresh and ${restored.ids} restored: remove ${file}.`,
    );
  }
  await engine.run({ ...check, name: "restore", generate: 1 });
}
