/** What the browser tests share: chromium, the page's answers, and what Node gives for the same request. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { expect } from "vitest";
import type { GenerateOptions, LoadOptions, SessionOptions } from "../../src/engine/api.js";
import type { StoredFile } from "../../src/util/platform.js";

export const CHROMIUM = "/usr/bin/chromium";
export const hasChromium = existsSync(CHROMIUM);
/** How long bundling and starting the browser may take, on a busy machine. */
export const START_MS = 120_000;
/** How long a worker that was ended may take to be gone, on a busy machine. */
const PATIENCE_MS = 20_000;
const FLAGS = [
  ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
].flat();

export const MODEL = fileURLToPath(new URL("../golden/llama.gguf", import.meta.url));
export const PROMPT = [1, 5, 9, 30, 7, 2, 11];
export const GREEDY = { temperature: 0, maxTokens: 48, ignoreEnd: true };

export interface Request {
  readonly reference: string;
  readonly load?: LoadOptions;
  readonly session?: SessionOptions;
  readonly prompt: string | readonly number[];
  readonly options?: GenerateOptions;
  readonly abortAfterMs?: number;
  readonly next?: { readonly prompt: string | readonly number[]; readonly options: GenerateOptions };
}

export interface Generated {
  readonly text: string;
  readonly ids: readonly number[];
  readonly finish: string | undefined;
}

/** Of page/main.js: what was generated, or the error. */
export interface Outcome {
  readonly first?: Generated;
  readonly second?: Generated;
  readonly threads?: number;
  readonly location?: string;
  readonly notes?: readonly string[];
  /** What the browser says that the machine has. */
  readonly cores?: number;
  readonly error?: { readonly name: string; readonly message: string; readonly code: string; readonly typed: boolean };
}

/** Of page/main.js: what is kept. */
export interface StoredOutcome {
  readonly removed?: number;
  readonly files: readonly (Omit<StoredFile, "usedAt"> & { readonly isDate: boolean })[];
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** Opens the page afresh and lets it do one thing; no worker stays behind. */
export async function onPage<Result = Outcome>(
  browser: Browser | BrowserContext,
  origin: string,
  request: Request | { readonly remove?: string | null },
  action = "generate",
): Promise<Result> {
  const page = await browser.newPage();
  const errors: unknown[] = [];
  page.on("pageerror", (error) => errors.push(error));
  try {
    await page.goto(`${origin}/index.html`);
    const outcome: Result = await page.evaluate(`probe.${action}(${JSON.stringify(request)})`);
    expect(errors).toEqual([]);
    await expect.poll(() => page.workers().length, { timeout: PATIENCE_MS }).toBe(0);
    return outcome;
  } finally {
    await page.close();
  }
}

/** What Node gives, from the same package. */
export async function generateInNode(model: string, prompt: string | readonly number[], options: GenerateOptions) {
  // Through a variable: types come from the sources, so that checking them needs no build.
  const name: string = "sluice";
  const { load }: typeof import("../../src/index-node.js") = await import(name);
  const loaded = await load(model, { threads: 1 });
  const all = { text: "", ids: [] as number[], finish: "" };
  for await (const part of loaded.session().generate(prompt, options)) {
    all.text += part.text;
    if (part.id !== undefined) all.ids.push(part.id);
    all.finish = part.finish ?? all.finish;
  }
  await loaded.dispose();
  return all;
}
