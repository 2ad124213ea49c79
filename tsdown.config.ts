import { defineConfig } from "tsdown";

/**
 * ESM and types, file by file as in src/ (bundlers of users see modules, threads find their entry), dependencies left
 * as imports. Entries: what package.json exports, the command, and the engine's thread.
 */
export default defineConfig({
  entry: [
    "src/index.ts",
    "src/index-node.ts",
    "src/engine-thread-node.ts",
    "src/engine-thread-browser.ts",
    "src/{autograd,backends,context,engine,eval,formats,models,nn,position,quant,tensor,tokenizer,train}/index.ts",
    "src/platform/{node,browser}.ts",
    "src/train/export/index.ts",
    "src/util/errors.ts",
    "src/cli/main.ts",
  ],
  root: "src",
  outDir: "dist",
  unbundle: true,
  format: "esm",
  platform: "neutral",
  target: ["node20.19", "chrome120", "firefox121", "safari17.4"],
  fixedExtension: false,
  dts: true,
  sourcemap: false,
  clean: true,
  deps: { skipNodeModulesBundle: true, neverBundle: [/^node:/] },
});
