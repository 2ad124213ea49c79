#!/usr/bin/env node
/** The `sluice` command. */
import { readFileSync } from "node:fs";
import { nodeIo } from "./io-node.js";
import { runCli } from "./program.js";

// src/cli and dist/cli lie equally deep below package.json.
const { version }: { version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

const code = await runCli(process.argv.slice(2), nodeIo(version));
// Standard input may still be open, which alone must not keep the process alive. All writes were awaited.
process.exit(code);
