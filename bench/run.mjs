/**
 * `npm run bench -- [NAME] [options]`: installs the peer and the plot library from this folder's lock file on first use,
 * then runs NAME.mjs, without a name everything. The peer (llama.cpp through node-llama-cpp) is large, so the root's
 * `npm ci` does not install it.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installPeer } from "./lib/install.mjs";

/** Name, whether it needs llama.cpp, and what it measures. `--train` is `train`. */
const BENCHES = {
  all: { peer: true, about: "everything below and a verdict; what is run without a name" },
  machine: {
    peer: false,
    about: "the first lines of all others: processor, V8, the kernels' forms, the memory's rate",
  },
  bits: { peer: false, about: "prefill in 256-bit vectors over the same in 128, Sluice alone" },
  decode: { peer: true, about: "decode, prefill, load, memory beside llama.cpp, each in fresh processes" },
  length: { peer: true, about: "1.1B parameters, Q4_0: speed against context length beside llama.cpp" },
  long: {
    peer: true,
    about: "caches of 8,192 to 131,072 tokens under policies that keep or read less, beside llama.cpp",
  },
  small: { peer: true, about: "stories260K: overhead per token beside llama.cpp" },
  kernels: { peer: false, about: "what the machine can do, and what the kernels alone reach of it" },
  endless: { peer: false, about: "decode under sinks:4,recent:1020 at token 100,000 against token 2,000" },
  "export-oracle": {
    peer: true,
    about: "files that Sluice exported, in llama.cpp: same ids, same probabilities; also --export",
  },
  million: { peer: false, about: "one million tokens in constant memory at constant speed" },
  train: { peer: false, about: "a step of training beside the same model in jax-js; also as --train" },
};

function usage() {
  const rows = Object.entries(BENCHES).map(([name, { about }]) => `  ${name.padEnd(15)}${about}`);
  return `Usage: npm run bench -- [NAME] [options]    (NAME --help lists the options)\n\n${rows.join("\n")}\n`;
}

/** Short forms, as options of the whole. */
const SHORT = { "--export": "export-oracle", "--train": "train" };

const given = process.argv.slice(2).map((word, i) => (i === 0 && Object.hasOwn(SHORT, word) ? SHORT[word] : word));
const named = given.length > 0 && !given[0].startsWith("-");
const [name, ...options] = named ? given : ["all", ...given];
if (!named && (options[0] === "--help" || options[0] === "-h")) {
  process.stdout.write(`${usage()}\n\`all --help\` lists the options of the whole run.\n`);
} else if (!Object.hasOwn(BENCHES, name)) {
  process.stderr.write(`There is no benchmark named '${name}'.\n\n${usage()}`);
  process.exitCode = 2;
} else {
  if (BENCHES[name].peer && !options.includes("--help")) installPeer();
  const start = (bench, args) => {
    const script = fileURLToPath(new URL(`${bench}.mjs`, import.meta.url));
    return spawnSync(process.execPath, [script, ...args], { stdio: "inherit" });
  };
  // These begin with the same lines by themselves.
  const alone =
    !["all", "long", "machine"].includes(name) && !options.some((option) => ["--help", "-h"].includes(option));
  if (alone && start("machine", []).status !== 0) process.exit(1);
  const { status } = start(name, options);
  process.exitCode = status ?? 1;
}
