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
