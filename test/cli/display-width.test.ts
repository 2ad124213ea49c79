import { describe, expect, test } from "vitest";
import { cutToWidth, displayWidth } from "../../src/cli/display-width.js";
import { tableLines } from "../../src/cli/table.js";

describe("columns of a terminal", () => {
  test.each([
    ["", 0],
    ["abc", 3],
    ["é", 1],
    ["e\u0301", 1],
    ["日本語", 6],
    ["한국", 4],
    ["ｆｕｌｌ", 8],
    ["\u{1f600}", 2],
    // A family of four, and a flag: one picture each.
    ["\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}", 2],
    ["\u{1f1e9}\u{1f1ea}", 2],
    ["\u2764\ufe0f", 2],
    ["a\u200bb", 2],
    ["\u{20000}", 2],
    ["Ġthe", 4],
  ])("%j takes %d", (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  test("a line is cut before the character that does not fit, never in one", () => {
    expect(["日本語", "a日", "abc", "e\u0301x"].map((text) => cutToWidth(text, 2))).toEqual([
      "日",
      "a",
      "ab",
      "e\u0301x",
    ]);
  });

  test("tables of wide scripts stand in columns", () => {
    const columns = [
      { header: "text", align: "left" },
      { header: "n", align: "right" },
    ] as const;
    const lines = tableLines(columns, [
      ["日本語", "1"],
      ["abc", "20"],
    ]);
    expect(lines).toEqual(["text     n", "日本語   1", "abc     20"]);
  });
});
