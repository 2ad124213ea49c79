/** What the cases of scripts/fuzz need of Sluice, from the sources. */
import * as backends from "../../src/backends/create.js";
import * as cli from "../../src/cli/program.js";
import * as runtime from "../../src/cli/runtime-node.js";
import * as loading from "../../src/engine/loading/load-local.js";
import * as opening from "../../src/formats/open.js";
import * as models from "../../src/models/index.js";
import * as metadata from "../../src/models/metadata.js";
import * as weights from "../../src/nn/weights.js";
import * as node from "../../src/platform/node.js";
import * as sluice from "../../src/public.js";
import * as tokenizer from "../../src/tokenizer/index.js";
import * as exporting from "../../src/train/export/index.js";
import * as training from "../../src/train/index.js";
import * as hash from "../../src/util/xxhash32.js";

export const library = {
  ...sluice,
  ...backends,
  ...loading,
  ...opening,
  ...models,
  ...metadata,
  ...weights,
  ...node,
  ...tokenizer,
  ...exporting,
  ...training,
  ...cli,
  ...runtime,
  ...hash,
};
