// The page of the browser tests: what a user's page does, with its answers as plain data. See ../browser.full.test.ts.
import { deleteStored, load as loadModel, NotFoundError, SluiceError, storedModels, UnsupportedError } from "sluice";

const CLASSES = { NotFoundError, UnsupportedError };

/** Loads, generates once or twice in one session, and tells what came. */
async function generate({ reference, load = {}, session = {}, prompt, options = {}, abortAfterMs, next }) {
  const model = await loadModel(reference, load);
  try {
    const opened = model.session(session);
    const abort = new AbortController();
    if (abortAfterMs !== undefined) setTimeout(() => abort.abort(), abortAfterMs);
    const first = await collect(opened.generate(prompt, { ...options, signal: abort.signal }));
    const second = next ? await collect(opened.generate(next.prompt, next.options)) : undefined;
    const { threads, location, notes } = model.info;
    return { first, second, threads, location, notes, cores: navigator.hardwareConcurrency };
  } finally {
    await model.dispose();
  }
}

async function collect(parts) {
  const all = { text: "", ids: [], finish: undefined };
  for await (const part of parts) {
    all.text += part.text;
    if (part.id !== undefined) all.ids.push(part.id);
    all.finish = part.finish ?? all.finish;
  }
  return all;
}

/** As `generate`, with the model in a file of the page's memory, as one that the user picked is. */
async function generateFromFile({ reference, ...request }) {
  const file = await (await fetch(reference)).blob();
  const url = URL.createObjectURL(file);
  try {
    return await generate({ reference: url, ...request });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** As `generate`, several times; the last outcome. */
async function generateAgain(request) {
  for (let time = 1; time < 8; time++) await generate(request);
  return generate(request);
}

/** What the browser keeps of models; with `remove` after it was removed. */
async function stored({ remove }) {
  const removed = remove === undefined ? undefined : await deleteStored(remove);
  return {
    removed,
    files: (await storedModels()).map(({ usedAt, ...file }) => ({ ...file, isDate: usedAt instanceof Date })),
  };
}

async function outcome(action, request) {
  try {
    return await action(request);
  } catch (error) {
    const typed = error instanceof (CLASSES[error.name] ?? SluiceError);
    return { error: { name: error.name, message: error.message, code: error.code, typed } };
  }
}

globalThis.probe = {
  generate: (request) => outcome(generate, request),
  generateAgain: (request) => outcome(generateAgain, request),
  generateFromFile: (request) => outcome(generateFromFile, request),
  stored: (request) => outcome(stored, request),
};
