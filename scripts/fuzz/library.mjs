// What the cases need of Sluice, from the built package; the tests give the same from the sources.
import * as backends from "../../dist/backends/create.js";
import * as cli from "../../dist/cli/program.js";
import * as runtime from "../../dist/cli/runtime-node.js";
import * as engine from "../../dist/engine/loading/load-local.js";
import * as formats from "../../dist/formats/open.js";
import * as root from "../../dist/index-node.js";
import * as models from "../../dist/models/index.js";
import * as metadata from "../../dist/models/metadata.js";
import * as weights from "../../dist/nn/weights.js";
import * as node from "../../dist/platform/node.js";
import * as tokenizer from "../../dist/tokenizer/index.js";
import * as exports from "../../dist/train/export/index.js";
import * as train from "../../dist/train/index.js";
import * as hash from "../../dist/util/xxhash32.js";

export const library = {
  ...root,
  ...backends,
  ...engine,
  ...formats,
  ...models,
  ...metadata,
  ...weights,
  ...node,
  ...tokenizer,
  ...exports,
  ...train,
  ...cli,
  ...runtime,
  ...hash,
};
