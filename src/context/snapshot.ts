/**
 * A sequence's memory as facts and bytes: what is held of the text as plain data, and its numbers one after the other: pages
 * of the retention groups, states, pages of what an encoder read. Bytes are the backend's own, so nothing is rounded.
 */
import { PAGE_TOKENS, type PagesInUse } from "../tensor/kv.js";
import { SnapshotError } from "../util/errors.js";
import { counted } from "../util/figures.js";
import type { PageRun } from "./retention-group.js";
import type { SequenceMemory } from "./sequence-memory.js";

export interface MemoryFacts {
  /** Tokens read. */
  readonly seen: number;
  /** Tokens that an encoder read; 0: none. */
  readonly source: number;
  /** Text pages that each retention group holds, as runs that ascend and do not touch. */
  readonly groups: readonly (readonly PageRun[])[];
}

/** Takes bytes one piece after the other. */
export interface ByteSink {
  put(bytes: Uint8Array): void;
}

/** Gives back what a ByteSink was given. */
export interface ByteTap {
  /** The next `count` bytes; a view. */
  take(count: number): Uint8Array;
}

/** More tokens than anyone reads: beyond it places of a text would no longer be exact. */
const MOST_SEEN = 2 ** 48;

/** Bytes of pages that are read at once, or those of one page. */
const BATCH_BYTES = 2 ** 23;

/** What is held now. Between two steps, of which the last has not failed (KvCache.settle). */
export function memoryFacts(memory: SequenceMemory): MemoryFacts {
  return { seen: memory.seen, source: memory.source.held, groups: memory.cache.groups.map(({ held }) => held) };
}

/** The length of what `writeMemory` writes and `readMemory` reads. */
export function memoryBytes(memory: SequenceMemory, { seen, source, groups }: MemoryFacts): number {
  const pages = (runs: readonly PageRun[]) => runs.reduce((sum, { count }) => sum + count, 0);
  const cached = memory.cache.groups.reduce((sum, { store }, i) => sum + pages(groups[i]) * store.pageBytes, 0);
  const perPage = memory.source.parts.reduce((sum, { store }) => sum + store.pageBytes, 0);
  const states = seen > 0 ? memory.states.current : [];
  const numbers = states.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  return cached + 4 * numbers + Math.ceil(source / PAGE_TOKENS) * perPage;
}

export async function writeMemory(memory: SequenceMemory, { seen }: MemoryFacts, sink: ByteSink): Promise<void> {
  for (const pages of memory.cache.groups) await writePages(pages, sink, seen % PAGE_TOKENS);
  // Nothing read: they are zero.
  for (const state of seen > 0 ? memory.states.current : []) {
    const numbers = await state.read();
    sink.put(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  }
  for (const pages of memory.source.parts) await writePages(pages, sink);
}

/**
 * Fills a new memory. The facts have passed `checkFacts`, and the tap has the bytes.
 * @throws MemoryError; then dispose of the memory
 */
export function readMemory(memory: SequenceMemory, { seen, source, groups }: MemoryFacts, tap: ByteTap): void {
  memory.cache.hold(seen, groups);
  memory.holdSource(source);
  for (const pages of memory.cache.groups) readPages(pages, tap);
  memory.cache.restoreBounds();
  for (const state of seen > 0 ? memory.states.current : []) {
    // Copied: a Float32Array may begin at multiples of four only.
    state.write(new Float32Array(tap.take(4 * state.rows * state.cols).slice().buffer));
  }
  for (const pages of memory.source.parts) readPages(pages, tap);
}

/**
 * @param last places of the last page that the text has filled; 0: all. What others hold was taken back, or is of a step that
 * failed.
 */
async function writePages({ store, table }: PagesInUse, sink: ByteSink, last = 0): Promise<void> {
  const batch = Math.max(1, Math.floor(BATCH_BYTES / store.pageBytes));
  for (let start = 0; start < table.length; start += batch) {
    const count = Math.min(batch, table.length - start);
    const bytes = await store.readPages(Array.from({ length: count }, (_, i) => table.page(start + i)));
    if (last > 0 && start + count === table.length) store.blank(bytes.subarray(-store.pageBytes), last);
    sink.put(bytes);
  }
}

function readPages({ store, table }: PagesInUse, tap: ByteTap): void {
  for (let index = 0; index < table.length; index++) store.writePage(table.page(index), tap.take(store.pageBytes));
}

/**
 * Whether a text with these facts can go on in this memory: every page that later tokens need is there.
 * @throws SnapshotError
 */
export function checkFacts(memory: SequenceMemory, { seen, source, groups }: MemoryFacts): void {
  const own = memory.cache.groups;
  if (groups.length !== own.length) {
    throw new SnapshotError(
      `The snapshot has ${counted(groups.length, "group")} of pages, this model ${own.length}: its layers lie otherwise in memory. Load ` +
        "the model with the same wasmMemoryBytes.",
      { found: groups.length, expected: own.length },
    );
  }
  own.forEach((group, index) => {
    const runs = groups[index];
    const end = Math.ceil(seen / PAGE_TOKENS);
    const holds = ({ first, count }: PageRun) =>
      runs.some((run) => run.first <= first && first + count <= run.first + run.count);
    const last = runs.at(-1);
    if ((!last || last.first + last.count <= end) && group.needed(seen).every(holds)) return;
    throw new SnapshotError(`The snapshot's pages do not fit a text of ${counted(seen, "token")}.`, {
      group: index,
      seen,
    });
  });
  const encodes = memory.source.parts.length > 0;
  if (source > 0 && !encodes) {
    throw new SnapshotError(`The snapshot has ${counted(source, "token")} that an encoder read; this model has none.`, {
      source,
    });
  }
  if (encodes && seen > 0 && source === 0) {
    throw new SnapshotError("The snapshot has a text, but nothing of the source that the encoder read.", { seen });
  }
}

/** Facts that came out of a file, or SnapshotError. */
export function parseMemoryFacts(value: unknown): MemoryFacts {
  if (isRecord(value)) {
    const { seen, source, groups } = value;
    if (isCount(seen) && isCount(source) && Array.isArray(groups))
      return { seen, source, groups: groups.map(parseRuns) };
  }
  throw new SnapshotError("The snapshot does not say what is held of the text.");
}

function parseRuns(value: unknown): PageRun[] {
  let end = -1;
  const runs = Array.isArray(value) ? value : [undefined];
  return runs.map((run: unknown) => {
    const { first, count } = isRecord(run) ? run : {};
    if (!isCount(first) || !isCount(count) || count === 0 || first <= end) {
      throw new SnapshotError("The snapshot's list of pages is damaged.");
    }
    end = first + count;
    return { first, count };
  });
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_SEEN;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
