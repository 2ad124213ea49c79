// `npm run test:package`: the path of somebody who has only the tarball. Packs, installs into an empty folder, and there: the
// commands, a strict TypeScript project under several compilers, bundles of esbuild for Node, and (attw, publint) what tools
// say of the package. Needs dist/ and the npm registry. Pages built by Vite are in test/browser.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "..");
const COMPILERS = ["5.4", "5.6", "6.0", "7.0"];
const RESOLUTIONS = [
  ["Node16", "Node16"],
  ["NodeNext", "NodeNext"],
  ["ESNext", "Bundler"],
];
const ENTRIES =
  "autograd backends context engine formats models nn position quant tensor tokenizer train errors platform/node platform/browser";
const MODEL = "node_modules/sluice/assets/sluice-tiny.gguf";
const LIMIT_MS = 240_000;

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "sluice-fresh-"));
const write = (name, text) => writeFileSync(join(folder, name), text);

/** Runs a program in the new folder. @returns what it printed */
async function start(program, args, cwd = folder) {
  const { stdout, stderr } = await run(program, args, { cwd, timeout: LIMIT_MS, maxBuffer: 2 ** 26 }).catch((error) => {
    throw new Error(`${program} ${args.join(" ")}: ${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`);
  });
  return { stdout, all: stdout + stderr };
}

function expect(what, isSo, found) {
  if (!isSo) throw new Error(`${what}; found:\n${found}`);
  console.log(`ok: ${what}`);
}

const app = (options) => `import { load, type Part } from "sluice";
${ENTRIES.split(" ")
  .map((entry, i) => `import type * as e${i} from "sluice/${entry}";`)
  .join("\n")}
export type All = [${ENTRIES.split(" ").map((_, i) => `typeof e${i}`)}];
async function main(): Promise<void> {
  const model = await load("${MODEL}", ${options});
  let text = "";
  const parts = model.session({ context: "sinks:4,recent:60" }).generate("Once upon a time", { maxTokens: 10, temperature: 0 });
  for await (const part of parts) {
    const { text: more }: Part = part;
    text += more;
  }
  await model.dispose();
  console.log(JSON.stringify(text));
}
void main();
`;

async function install() {
  const { stdout } = await start("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], ROOT);
  const tarball = stdout.trim().split("\n").at(-1);
  write("package.json", '{ "type": "module", "private": true }');
  const npm = ["install", "--no-audit", "--no-fund"];
  const { all } = await start("npm", [...npm, `./${tarball}`]);
  expect("the package installs without a warning", !/warn/i.test(all), all);
  const { stdout: kilobytes } = await start("du", ["-sk", "node_modules"]);
  expect("with all that it needs it takes less than 40 MB", Number.parseInt(kilobytes, 10) < 40_000, kilobytes);
  const compilers = COMPILERS.map((version) => `ts${version}@npm:typescript@${version}`);
  const tools = ["esbuild", "@types/node@20", "@arethetypeswrong/cli", "publint", ...compilers];
  await start("npm", [...npm, "--ignore-scripts", ...tools]);
  return tarball;
}

async function commands() {
  const sluice = (...args) => start("npx", ["--no-install", "sluice", ...args]);
  expect("sluice --help", /Usage: sluice/.test((await sluice("--help")).stdout), "");
  const { stdout } = await sluice(
    "run",
    MODEL,
    "--prompt",
    "Once upon a time",
    "--max-tokens",
    "10",
    "--temperature",
    "0",
  );
  expect("sluice run writes a text", stdout.trim().length > 10, stdout);
  const { stdout: inspected } = await sluice("inspect", MODEL);
  expect("sluice inspect", /sluice|llama/.test(inspected), inspected);
}

async function compile() {
  for (const version of COMPILERS) {
    for (const [module, moduleResolution] of RESOLUTIONS) {
      const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
      const own = { target: "ES2022", lib: ["ES2022"], types: ["node"], skipLibCheck: false, module, moduleResolution };
      write(
        "tsconfig.json",
        JSON.stringify({ compilerOptions: { ...strict, ...own, outDir: "js" }, include: ["app.ts"] }),
      );
      await start("node", [`node_modules/ts${version}/lib/tsc.js`, "-p", "."]);
    }
    console.log(`ok: TypeScript ${version}, strict, lib es2022 alone, all libraries checked`);
  }
}

async function bundles() {
  const { stdout: text } = await start("node", ["js/app.js"]);
  expect("the program of the TypeScript project writes a text", text.trim().length > 10, text);
  const esbuild = (...args) => start("npx", ["--no-install", "esbuild", ...args, "--bundle", "--platform=node"]);
  for (const [format, end] of [
    ["esm", "mjs"],
    ["cjs", "cjs"],
  ]) {
    await esbuild("js/app.js", `--format=${format}`, `--outfile=one/app.${end}`);
    const one = await start("node", [`one/app.${end}`]);
    expect(`esbuild, one ${format} file: the same text, and a word about the thread`, one.stdout === text, one.all);
    expect("the warning names the ways out", /SLUICE_IN_PLACE.*external: \["sluice"\]/s.test(one.all), one.all);
    const entries = ["app=js/app.js", "engine-thread-node=sluice/engine-thread"];
    await esbuild(...entries, `--format=${format}`, `--outdir=two-${end}`, `--out-extension:.js=.${end}`);
    const two = await start("node", [`two-${end}/app.${end}`]);
    expect(`esbuild, ${format} with the thread's entry`, two.all === text, two.all);
  }
}

async function tools(tarball) {
  await start("npx", ["--no-install", "attw", tarball, "--profile", "esm-only"]);
  await start("npx", ["--no-install", "publint", "--strict", tarball]);
  console.log("ok: attw, publint");
}

try {
  mkdirSync(folder, { recursive: true });
  const tarball = await install();
  write("app.ts", app("{ threads: 1 }"));
  await commands();
  await compile();
  await bundles();
  await tools(tarball);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
