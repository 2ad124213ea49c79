// Files of GGUF of every architecture with wrong values, types, counts, tensors and bytes.
import { exerciseModel } from "../exercise.mjs";
import { ggufBytes } from "../gguf-file.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { mutateBytes } from "../mutate.mjs";
import { smallModels } from "../small-models.mjs";
import { FILE_CHANGES, KEY_CHANGES, TENSOR_CHANGES } from "./gguf-changes.mjs";

export const gguf = {
  name: "gguf",

  async prepare(library) {
    const models = smallModels(library);
    return { library, models, bytes: models.map(ggufBytes), files: new MemoryFiles(library) };
  },

  async run({ library, models, bytes, files }, random) {
    const index = random.below(models.length);
    const content = random.chance(0.15) ? mutateBytes(random, bytes[index]) : changedFile(random, models[index]);
    files.set({ "m.gguf": content }).install();
    try {
      await exerciseModel(library, "m.gguf", random);
    } finally {
      files.checkClosed();
    }
  },
};

function changedFile(random, model) {
  const file = {
    ...model,
    keys: model.keys.map((key) => ({ ...key })),
    tensors: model.tensors.map((tensor) => ({ ...tensor })),
  };
  for (let i = random.pick([1, 1, 1, 2, 3]); i > 0; i--) {
    const changes = random.chance(0.65) ? KEY_CHANGES : random.chance(0.8) ? TENSOR_CHANGES : FILE_CHANGES;
    random.pick(changes)(random, file);
  }
  const bytes = ggufBytes(file);
  return random.chance(0.05) ? mutateBytes(random, bytes) : bytes;
}
