/**
 * Reads a remote file in few large blocks: many small reads of one block are one request, and where blocks are read in order
 * the next ones are on their way. Blocks come from a store where they were kept, and go there when they were fetched.
 */
import { CancelledError } from "../util/errors.js";
import type { ByteSource } from "../util/platform.js";
import { endsEarly, type RemoteFile } from "./remote-file.js";

export const BLOCK_BYTES = 16 * 2 ** 20;
/** Blocks held in memory, of all files of this thread together: a model may have a hundred. */
const MOST_BLOCKS = 8;
/** Blocks fetched ahead of the one that is read. */
const AHEAD = 2;
/** Blocks that wait to be written into the store; then reading waits for them. */
const MOST_WRITES = 3;

/** Keeps blocks of one version of one file. It never fails: what it cannot keep or find is read from the server. */
export interface BlockStore {
  /** A block that was kept, whole and undamaged. */
  get(index: number, bytes: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  put(index: number, block: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** What is held; the block that was used last is last. */
const held = new Map<string, () => void>();
let sources = 0;

/** Marks a block as used, and lets go of the one that was not used for the longest time. */
function hold(key: string, letGo: () => void): void {
  held.delete(key);
  held.set(key, letGo);
  if (held.size <= MOST_BLOCKS) return;
  for (const [oldest, letGoOfOldest] of held) {
    held.delete(oldest);
    letGoOfOldest();
    break;
  }
}

export class BlockSource implements ByteSource {
  private readonly file: RemoteFile;
  private readonly store: BlockStore | undefined;
  private readonly abort = new AbortController();
  private readonly signal: AbortSignal | undefined;
  private readonly key = ++sources;
  private readonly blocks = new Map<number, Promise<Uint8Array>>();
  private readonly writes = new Set<Promise<void>>();
  private lastRead = -1;

  constructor(file: RemoteFile, store?: BlockStore, signal?: AbortSignal) {
    this.file = file;
    this.store = store;
    this.signal = signal;
    signal?.addEventListener("abort", this.cancel);
    if (signal?.aborted) this.cancel();
  }

  private readonly cancel = () => this.abort.abort();

  get name(): string {
    return this.file.url;
  }

  get size(): number {
    return this.file.size;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const end = offset + into.length;
    if (!Number.isSafeInteger(offset) || offset < 0 || end > this.size) throw endsEarly(this.file, offset, into.length);
    for (let at = offset; at < end; ) {
      if (this.abort.signal.aborted) throw new CancelledError(`Reading '${this.name}' was cancelled.`);
      const index = Math.floor(at / BLOCK_BYTES);
      const block = await this.blockToRead(index);
      const piece = block.subarray(at - index * BLOCK_BYTES, end - index * BLOCK_BYTES);
      into.set(piece, at - offset);
      at += piece.length;
    }
  }

  async close(): Promise<void> {
    this.signal?.removeEventListener("abort", this.cancel);
    this.cancel();
    for (const index of this.blocks.keys()) this.letGo(index);
    await Promise.all(this.writes);
    await this.file.close?.();
  }

  private blockToRead(index: number): Promise<Uint8Array> {
    const block = this.block(index);
    const inOrder = index === this.lastRead || index === this.lastRead + 1;
    this.lastRead = index;
    for (let next = index + 1; inOrder && next <= index + AHEAD && next * BLOCK_BYTES < this.size; next++) {
      void this.block(next);
    }
    return block;
  }

  private block(index: number): Promise<Uint8Array> {
    const known = this.blocks.get(index);
    const block = known ?? this.load(index);
    if (!known) {
      this.blocks.set(index, block);
      // What failed is tried anew by the next who asks; one ahead may have no reader that sees it.
      block.catch(() => this.blocks.get(index) === block && this.letGo(index));
    }
    hold(`${this.key} ${index}`, () => this.blocks.delete(index));
    return block;
  }

  private letGo(index: number): void {
    this.blocks.delete(index);
    held.delete(`${this.key} ${index}`);
  }

  private async load(index: number): Promise<Uint8Array> {
    const start = index * BLOCK_BYTES;
    const length = Math.min(BLOCK_BYTES, this.size - start);
    const stored = await this.store?.get(index, length);
    if (stored) return stored;
    const block = new Uint8Array(length);
    await this.file.read(start, block, this.abort.signal);
    while (this.writes.size >= MOST_WRITES) await Promise.race(this.writes);
    const write = this.store?.put(index, block);
    if (write) {
      this.writes.add(write);
      void write.then(() => this.writes.delete(write));
    }
    return block;
  }
}
