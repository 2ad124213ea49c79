/**
 * Kernels read a table of pages for each KV head where a record says so, as a choice of pages by head will. No operation of
 * the backend asks for it yet, so the records are written here.
 */
import { expect, test } from "vitest";
import * as abi from "../../kernels/abi.js";
import * as attend from "../../kernels/attention/attention-record.js";
import * as append from "../../kernels/kv/append-record.js";
import * as slice from "../../kernels/kv/slice-record.js";
import { CommandList } from "../../src/backends/wasm/command-list.js";
import { compileKernels } from "../../src/backends/wasm/module.js";
import { Pool } from "../../src/backends/wasm/pool.js";
import { Space } from "../../src/backends/wasm/space.js";
import { platform } from "../../src/util/platform.js";

const [HEADS, WIDTH, TOKENS, PAGE_TOKENS] = [2, 4, 20, 16];
const PAGES = Math.ceil(TOKENS / PAGE_TOKENS);
const KEY_BYTES = PAGE_TOKENS * WIDTH * 4;
const MEMBER_BYTES = 2 * KEY_BYTES;
const STALE = 99;

test("heads with page tables of their own append to their pages and attend to them", async () => {
  platform().enableWasmFeatures();
  const space = new Space(2 ** 24);
  const { module } = await compileKernels(undefined);
  const pool = await Pool.start(module, space, 1);
  const commands = new CommandList(pool, space, 0);
  const take = (bytes: number) => space.allocate(bytes, "a test");
  const record = (bytes: number, words: Record<number, number>) => {
    const address = take(bytes);
    space.i32.fill(0, address >>> 2, (address + bytes) >>> 2);
    for (const [offset, word] of Object.entries(words)) space.i32[(address + Number(offset)) >>> 2] = word;
    return address;
  };
  const floats = (values: readonly number[]) => {
    const address = take(values.length * 4);
    space.f32.set(values, address >>> 2);
    return address;
  };

  const pages = Array.from({ length: HEADS * PAGES }, () =>
    floats(new Array<number>((HEADS * MEMBER_BYTES) / 4).fill(STALE)),
  );
  // Head after head, with a gap between their tables.
  const stride = (PAGES + 3) * 4;
  const table = take(HEADS * stride);
  pages.forEach((page, i) => {
    space.i32[(table + Math.floor(i / PAGES) * stride + (i % PAGES) * 4) >>> 2] = page;
  });
  const words = {
    [slice.TABLE]: table,
    [slice.TABLE_STRIDE]: stride,
    [slice.MEMBER_BYTES]: MEMBER_BYTES,
    [slice.KEY_BYTES]: KEY_BYTES,
    [slice.HEADS]: HEADS,
  };
  const row = (head: number) => Array.from({ length: WIDTH }, (_, d) => 10 * head + d);
  const keys = floats(new Array<number>(TOKENS * HEADS * WIDTH).fill(0));
  const values = floats(Array.from({ length: TOKENS }, () => [...row(0), ...row(1)]).flat());
  const strides = { [append.KEY_STRIDE]: HEADS * WIDTH * 4, [append.VALUE_STRIDE]: HEADS * WIDTH * 4 };
  const written = record(append.CALL_BYTES, {
    ...{ [append.KEYS]: keys, [append.VALUES]: values, ...strides },
    ...{ [append.WIDTH]: WIDTH, [append.VALUE_WIDTH]: WIDTH, [append.SCRATCH]: take(abi.SCRATCH_BYTES) },
    ...{ [append.MISFITS]: record(4, {}), [append.PARTS]: 1 },
    [append.PART_LIST]: record(append.PART_BYTES, { ...words, [append.ROWS]: TOKENS }),
  });
  commands
    .begin(abi.APPEND, 1)
    .word(written)
    .word(HEADS * PAGES)
    .end();

  const out = floats(new Array<number>(HEADS * WIDTH).fill(STALE));
  const part = record(attend.PART_BYTES, {
    ...words,
    ...{ [attend.END_ITEM]: HEADS, [attend.ROWS]: 1, [attend.RANGES]: 1, [attend.TILES]: 1 },
    [attend.QUERIES]: record(4, { 0: floats(new Array<number>(HEADS * WIDTH).fill(0)) }),
    [attend.SPANS]: record(8, { 4: TOKENS }),
  });
  const call = record(attend.CALL_BYTES, {
    ...{ [attend.OUT]: out, [attend.OUT_STRIDE]: HEADS * WIDTH * 4, [attend.QUERY_STRIDE]: HEADS * WIDTH * 4 },
    ...{ [attend.WIDTH]: WIDTH, [attend.VALUE_WIDTH]: WIDTH, [attend.GROUP]: 1, [attend.ITEMS]: HEADS },
    ...{ [attend.SCRATCH]: take(abi.SCRATCH_BYTES), [attend.PARTS]: 1, [attend.PART_LIST]: part },
  });
  commands.begin(abi.ATTENTION, 1).word(call).end();
  commands.flush();
  // Each head wrote its own pages, and of those its own member alone.
  const member = (page: number, head: number) => (page + head * MEMBER_BYTES + KEY_BYTES) >>> 2;
  pages.forEach((page, i) => {
    const own = Math.floor(i / PAGES);
    for (let head = 0; head < HEADS; head++) {
      expect(space.f32[member(page, head)]).toBe(head === own ? row(own)[0] : STALE);
    }
  });
  expect([...space.f32.subarray(out >>> 2, (out >>> 2) + HEADS * WIDTH)]).toEqual([...row(0), ...row(1)]);
  await pool.dispose();
});
