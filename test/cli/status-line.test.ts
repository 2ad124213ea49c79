import { describe, expect, test } from "vitest";
import { StatusLines } from "../../src/cli/status-line.js";
import { FakeIo } from "./support/fake-io.js";

describe("status lines", () => {
  test.each([1, 2, 12, 20, 100])("never reach the last column of %d", async (columns) => {
    const io = new FakeIo({ stderrTTY: true, columns });
    const status = new StatusLines(io);
    await status.draw(["0123456789".repeat(20), "short"]);
    const shown = io.stderr.text.split("\n").map((line) => line.replace("\r", "").replace("\x1b[2K", ""));
    expect(shown).toEqual(["0123456789".repeat(20).slice(0, columns - 1), "short".slice(0, columns - 1), ""]);
  });
});
