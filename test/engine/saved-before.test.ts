/** Sessions in `saved/` were saved by an earlier version of Sluice: they are restored, and go on as they did then. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { tinyFile } from "../support/tiny-gguf.js";

/** What the earlier version wrote after it had saved, greedily. */
const WROTE = [14, 216, 108, 270, 220, 142, 220, 34, 59, 142, 59, 142];

it.each(["reference", "wasm"] as const)("a session saved on %s", async (backend) => {
  const path = tinyFile({ metadata: { "llama.context_length": 400 } });
  const model = await loadLocal(path, { backend, threads: 1 });
  const session = await model.restore(readFileSync(new URL(`saved/${backend}.session`, import.meta.url)));
  expect(session.context).toBe("sinks:4,recent:20");
  const ids: (number | undefined)[] = [];
  const options = { temperature: 0, ignoreEnd: true, maxTokens: WROTE.length };
  for await (const { id } of session.generate([], options)) ids.push(id);
  expect(ids).toEqual(WROTE);
  expect(session.usage).toMatchObject({ seen: 53, kept: 24, sinks: 4 });
  await model.dispose();
});

/** A session whose messages were evicted one by one, so that it holds an answer without its question, and what it wrote next. */
it("a chat saved before turns were kept whole still goes by messages there", async () => {
  const path = tinyFile({ metadata: { "llama.context_length": 400 } });
  const model = await loadLocal(path, { backend: "wasm", threads: 1 });
  const session = await model.restore(readFileSync(new URL("saved/messages.session", import.meta.url)));
  expect(session.context).toBe("sinks:system,recent:90");
  expect(session.usage).toMatchObject({ seen: 126, kept: 19 + 126 - 37, sinks: 19 });
  const ids: (number | undefined)[] = [];
  const options = { temperature: 0, ignoreEnd: true, maxTokens: 9, logitBias: { 4: -100, 2: -100, 3: -100 } };
  for await (const { id } of session.chat("in the", options)) ids.push(id);
  expect(ids).toEqual([199, 32, 16, 23, 156, 217, 87, 247, 176]);
  expect(session.usage).toMatchObject({ seen: 159, kept: 19 + 159 - 73 });
  await model.dispose();
});
