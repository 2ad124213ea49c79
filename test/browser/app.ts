/** The page of these tests as a user's project: the package installed as it is published, bundled by vite. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGE = fileURLToPath(new URL("./page", import.meta.url));

export interface BrowserApp {
  /** The folder of the project. */
  readonly folder: string;
  /** What vite built. */
  readonly built: string;
  remove(): void;
}

/** `models`: files to put into the page's folder of models. Needs the built package (dist/). */
export async function buildApp(models: readonly string[] = []): Promise<BrowserApp> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-browser-"));
  const modules = join(folder, "node_modules");
  cpSync(PAGE, folder, { recursive: true });
  for (const model of models) cpSync(model, join(folder, "public/models", basename(model)));
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }');
  mkdirSync(join(modules, "sluice"), { recursive: true });
  for (const part of ["dist", "package.json"]) {
    cpSync(join(ROOT, part), join(modules, "sluice", part), { recursive: true });
  }
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  await build({ root: folder, configFile: join(folder, "vite.config.js"), logLevel: "warn" });
  return {
    folder,
    built: join(folder, "dist"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
