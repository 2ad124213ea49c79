/**
 * Installs echarts and the peer, node-llama-cpp, from the lock file: without optional packages (670 MB of GPU binaries) and
 * install scripts (they would download); then the one CPU binary package of this machine.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));

/** The package with llama.cpp's CPU library for each `platform-arch` (on Apple silicon it also holds Metal). */
const BINARIES = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

function npm(args) {
  const { status, error } = spawnSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: FOLDER,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new Error(`npm ${args[0]} failed in bench/ (${error?.message ?? `exit status ${status}`})`);
}

function version(folder) {
  const file = `${FOLDER}/node_modules/${folder}/package.json`;
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : undefined;
}

/** Makes this folder's dependencies importable; does nothing when they already are. */
export function installPeer() {
  const { dependencies } = JSON.parse(readFileSync(`${FOLDER}/package.json`, "utf8"));
  const wanted = dependencies["node-llama-cpp"];
  const platform = `${process.platform}-${process.arch}`;
  const binary = BINARIES[platform];
  if (!binary) throw new Error(`node-llama-cpp has no CPU binary for ${platform}; it has: ${Object.keys(BINARIES)}`);
  const needed = { ...dependencies, [`@node-llama-cpp/${binary}`]: wanted };
  if (Object.entries(needed).every(([name, exact]) => version(name) === exact)) return;
  process.stderr.write(
    `Installing echarts and node-llama-cpp ${wanted} (${binary}, CPU only) into bench/node_modules ...\n`,
  );
  npm(["ci", "--omit=optional"]);
  npm(["install", "--no-save", "--omit=optional", `@node-llama-cpp/${binary}@${wanted}`]);
}
