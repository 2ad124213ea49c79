import { describe, expect, test } from "vitest";
import { WordWrap } from "../../src/cli/demo/word-wrap.js";
import { FakeIo } from "./support/fake-io.js";

async function wrapped(pieces: readonly string[], stdoutTTY = true, columns = 11): Promise<string> {
  const { stdout } = new FakeIo({ stdoutTTY, columns });
  const wrap = new WordWrap(stdout);
  for (const piece of pieces) await wrap.write(piece);
  await wrap.end();
  return stdout.text;
}

describe("WordWrap", () => {
  test("breaks between words, wherever the pieces end", async () => {
    // Ten columns: the eleventh is the terminal's own to break at.
    const expected = "one two\nthree four\nfive";
    expect(await wrapped(["one two three four five"])).toBe(expected);
    expect(await wrapped([..."one two three four five"])).toBe(expected);
  });

  test("keeps the text's own lines and inner spaces; a word wider than the line stays whole", async () => {
    expect(await wrapped(["a  b\n\nc ", "\n incomprehensibilities d"])).toBe("a  b\n\nc\nincomprehensibilities\nd");
  });

  test("counts characters, not UTF-16 units", async () => {
    expect(await wrapped(["\u{1f600}\u{1f600}\u{1f600} \u{1f600}\u{1f600}\u{1f600} x"])).not.toContain("\n");
  });

  test("elsewhere writes everything as it comes", async () => {
    expect(await wrapped(["one two three ", "four five"], false)).toBe("one two three four five");
  });
});
