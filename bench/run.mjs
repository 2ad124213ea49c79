/**
 * `npm run bench -- NAME [options]`: installs the peer from this folder's lock file on first use, then runs NAME.mjs.
 * The peer (llama.cpp through node-llama-cpp) is large, so the root's `npm ci` does not install it.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installPeer } from "./lib/install.mjs";

/** Name, whether it needs the peer, and what it measures. */
const BENCHES = {
  decode: { peer: true, about: "1.1B parameters, Q8_0 and Q4_0: decode and prefill beside llama.cpp" },
  small: { peer: true, about: "stories260K: overhead per token beside llama.cpp" },
  million: { peer: false, about: "one million tokens in constant memory at constant speed" },
};

function usage() {
  const rows = Object.entries(BENCHES).map(([name, { about }]) => `  ${name.padEnd(9)}${about}`);
  return `Usage: npm run bench -- NAME [options]    (NAME --help lists the options)\n\n${rows.join("\n")}\n`;
}

const [name = "decode", ...options] = process.argv.slice(2);
if (name === "--help" || name === "-h") {
  process.stdout.write(usage());
} else if (!Object.hasOwn(BENCHES, name)) {
  process.stderr.write(`There is no benchmark named '${name}'.\n\n${usage()}`);
  process.exitCode = 2;
} else {
  if (BENCHES[name].peer && !options.includes("--help")) installPeer();
  const script = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script, ...options], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
