import { EventEmitter } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { besideText, NodeOutput, sameTarget } from "../../src/cli/output-node.js";
import type { SluiceError } from "../../src/util/errors.js";

/** A stream that takes `room` writes and fails from then on; as with real ones, the event comes after the callback. */
function breaking(code: string, room = 0) {
  const taken: string[] = [];
  const events = new EventEmitter();
  const stream = {
    on: (event: "error", listener: (error: Error) => void) => events.on(event, listener),
    write(text: string, done: (error?: Error) => void) {
      if (taken.length < room) {
        taken.push(text);
        return done();
      }
      const error = Object.assign(new Error(`${code}: write`), { code });
      done(error);
      setImmediate(() => events.emit("error", error));
    },
  };
  const failures: (SluiceError | undefined)[] = [];
  const output = new NodeOutput(stream, "Standard output", (failure) => failures.push(failure));
  return { output, failures, taken };
}

describe("an output of the process", () => {
  test("is told to have failed before the write is over", async () => {
    const { output, failures, taken } = breaking("ENOSPC", 1);
    await output.write("a");
    expect(failures).toEqual([]);
    await output.write("b");
    expect(failures.map((failure) => failure?.message)).toEqual([
      "Standard output cannot be written: the disk is full.",
    ]);
    await output.write("c");
    expect(taken).toEqual(["a"]);
  });

  test("keeps quiet about a reader that went away, and only about that", async () => {
    const gone = breaking("EPIPE");
    await gone.output.write("a");
    expect(gone.failures).toEqual([undefined]);
    const broken = breaking("EIO");
    await broken.output.write("a");
    expect(broken.failures[0]?.message).toBe("Standard output cannot be written: EIO: write.");
  });

  test("tells its failure once, whatever was still to be written", async () => {
    const { output, failures } = breaking("ENOSPC");
    await Promise.all([output.write("a"), output.write("b"), output.write("c")]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toHaveLength(1);
  });
});

describe("standard error in the file that has the text too", () => {
  const shared = () => {
    const { output: text, taken } = breaking("EIO", 9);
    const write = (written: string, done: () => void) => {
      taken.push(written);
      done();
    };
    const stream = { on: () => {}, write };
    return { text, taken, told: besideText(new NodeOutput(stream, "Standard error", () => {}), text) };
  };

  test("begins a line of its own behind a text that ends within one, once", async () => {
    const { text, told, taken } = shared();
    await told.write("note: a\n");
    await text.write("the text");
    await told.write("");
    await told.write("error: b\n");
    await told.write("hint: c\n");
    expect(taken.join("")).toBe("note: a\nthe text\nerror: b\nhint: c\n");
  });

  test("adds nothing behind a whole line", async () => {
    const { text, told, taken } = shared();
    await text.write("a line\n");
    await told.write("seen 1\n");
    expect(taken.join("")).toBe("a line\nseen 1\n");
  });

  test("is the same file by its number on its disk", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-output-"));
    const [a, again, b] = ["a", "a", "b"].map((name) => openSync(join(folder, name), "a"));
    expect([sameTarget(a, again), sameTarget(a, b), sameTarget(a, 1e6)]).toEqual([true, false, false]);
    for (const descriptor of [a, again, b]) closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
});
