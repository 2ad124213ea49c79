// A model of the hub from reference to text, in the engine's thread of the built package, against a local server.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { LoadProgress } from "../../src/engine/api.js";
import { HubServer } from "./hub-server.js";

const PACKAGE: string = "sluice";
const { load, NotFoundError }: typeof import("../../src/index-node.js") = await import(PACKAGE);

const server = new HubServer();
const before = { ...process.env };
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "sluice-hub-"));
  server.files.set("tiny-F32.gguf", await readFile(new URL("../golden/llama.gguf", import.meta.url)));
  Object.assign(process.env, { HF_HOME: home, HF_ENDPOINT: await server.listen() });
});

afterAll(async () => {
  for (const name of ["HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  await server.close();
  await rm(home, { recursive: true, force: true });
});

it.each(["hf:user/model", "hf:user/model/tiny-F32.gguf", "hf:user/model:F32"])("loads %s", async (reference) => {
  const phases = new Set<LoadProgress["phase"]>();
  const model = await load(reference, { threads: 1, onProgress: ({ phase }) => phases.add(phase) });
  expect([...phases]).toEqual(["resolve", "download", "header", "weights", "ready"]);
  let parts = 0;
  for await (const _ of model.session().generate([1, 2], { maxTokens: 3, ignoreEnd: true })) parts++;
  expect(parts).toBe(3);
  await model.dispose();
});

it("loads it without the hub afterwards, and refuses what it never had", async () => {
  process.env.HF_HUB_OFFLINE = "1";
  const asked = server.requests.length;
  const model = await load("hf:user/model/tiny-F32.gguf", { threads: 1 });
  await model.dispose();
  await expect(load("hf:user/other")).rejects.toThrow(NotFoundError);
  expect(server.requests).toHaveLength(asked);
});
