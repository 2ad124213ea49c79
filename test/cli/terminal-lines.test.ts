import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { TerminalLines } from "../../src/cli/terminal-lines.js";

/** A terminal of streams: `raw` tells whether keys come one by one. */
class FakeTerminal extends PassThrough {
  raw = false;
  setRawMode(on: boolean): void {
    this.raw = on;
  }
}

function terminal() {
  const input = new FakeTerminal();
  const output = new PassThrough();
  output.resume();
  return { input, lines: new TerminalLines(input, output) };
}

describe("the line editor", () => {
  test("gives lines, edited", async () => {
    const { input, lines } = terminal();
    const line = lines.next("> ");
    input.write("helo\x7flo\r");
    expect(await line).toEqual({ kind: "line", text: "hello" });
    lines.close();
  });

  test("holds the terminal only while it waits, so that Ctrl-C reaches the process between lines", async () => {
    const { input, lines } = terminal();
    expect(input.raw).toBe(false);
    const line = lines.next("> ");
    expect(input.raw).toBe(true);
    input.write("x\r");
    await line;
    expect(input.raw).toBe(false);
    expect(input.isPaused()).toBe(true);
    lines.close();
  });

  test("keeps the lines of a pasted text", async () => {
    const { input, lines } = terminal();
    const first = lines.next("> ");
    input.write("one\rtwo\rthree\r");
    expect(await first).toEqual({ kind: "line", text: "one" });
    expect(await lines.next("> ")).toEqual({ kind: "line", text: "two" });
    expect(await lines.next("> ")).toEqual({ kind: "line", text: "three" });
    lines.close();
  });

  test("Ctrl-C clears the line and tells whether there was one", async () => {
    const { input, lines } = terminal();
    const empty = lines.next("> ");
    input.write("\x03");
    expect(await empty).toEqual({ kind: "interrupt", empty: true });
    const half = lines.next("> ");
    input.write("half\x03");
    expect(await half).toEqual({ kind: "interrupt", empty: false });
    const next = lines.next("> ");
    input.write("new\r");
    expect(await next).toEqual({ kind: "line", text: "new" });
    lines.close();
  });

  test("Ctrl-D ends it, for good", async () => {
    const { input, lines } = terminal();
    const end = lines.next("> ");
    input.write("\x04");
    expect(await end).toEqual({ kind: "end" });
    expect(await lines.next("> ")).toEqual({ kind: "end" });
  });
});
