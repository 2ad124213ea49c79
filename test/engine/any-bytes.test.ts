/** Saved sessions come as any view of bytes at any offset, and the caller's buffer stays as it is. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model, Session } from "../../src/engine/api.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { loadAs, MODES } from "./channel-thread.js";

const file = tinyFile();
const OPTIONS = { temperature: 0, ignoreEnd: true, maxTokens: 10 };

async function textOf(session: Session): Promise<string> {
  let text = "";
  for await (const part of session.generate([], OPTIONS)) text += part.text;
  return text;
}

/** The bytes in other dresses. */
const DRESSES: readonly (readonly [string, (bytes: Uint8Array) => ArrayBufferView | ArrayBufferLike])[] = [
  ["a Buffer", (bytes) => Buffer.from(bytes)],
  ["a Buffer of the pool at an odd offset", (bytes) => Buffer.concat([Buffer.of(1, 2, 3), bytes]).subarray(3)],
  ["a view at an odd offset", (bytes) => shifted(bytes, 1)],
  ["a DataView", (bytes) => new DataView(shifted(bytes, 3).buffer, 3, bytes.length)],
  ["an ArrayBuffer", (bytes) => bytes.slice().buffer],
  ["an Int8Array", (bytes) => new Int8Array(bytes.slice().buffer)],
  ["a clamped view", (bytes) => new Uint8ClampedArray(bytes.slice().buffer)],
  ["shared memory", (bytes) => shared(bytes).buffer],
  ["a view of shared memory", shared],
];

function shifted(bytes: Uint8Array, offset: number): Uint8Array {
  const all = new Uint8Array(bytes.length + offset + 5).fill(255);
  all.set(bytes, offset);
  return all.subarray(offset, offset + bytes.length);
}

function shared(bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(new SharedArrayBuffer(bytes.length));
  all.set(bytes);
  return all;
}

describe.each(MODES)("%s", (mode) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadAs(mode, file);
  });
  afterAll(() => model.dispose());

  it.each(DRESSES)("restores from %s", async (_, dress) => {
    const session = model.session();
    for await (const _part of session.generate([1, 270, 265, 266], OPTIONS));
    const saved = await session.save();
    const expected = await textOf(session);
    const given = dress(saved);
    const again = await model.restore(given);
    expect(given.byteLength).toBe(saved.length);
    expect(await textOf(again)).toBe(expected);
    // The caller may do with its bytes what it likes.
    const view = ArrayBuffer.isView(given)
      ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
      : new Uint8Array(given);
    expect(Buffer.compare(view, saved)).toBe(0);
    view.fill(0);
    expect(await textOf(await model.restore(saved))).toBe(expected);
  });
});
