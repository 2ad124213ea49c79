/** What kernels are told of a slice and what stays while its page table lives (kernels/kv/slice-record.ts), worked out once. */
import * as at from "../../../kernels/kv/slice-record.js";
import type { KvLayout } from "../../tensor/kv.js";
import { KV_CODES, kvBytes, memberBytes } from "./kv-layout.js";

export class SliceWords {
  /** The record; TABLE and HEAD_LIST are still to be written into each copy of it. */
  readonly words = new Int32Array(at.SLICE_BYTES / 4);
  /** Whether the heads are neighbours; else a record needs the list of them. */
  readonly neighbours: boolean;
  /** The number after that of the last head. */
  readonly headsEnd: number;

  /** @param heads ascending, at least one */
  constructor(
    readonly layout: KvLayout,
    member: number,
    readonly heads: readonly number[],
  ) {
    const [first, last] = [heads[0], heads[heads.length - 1]];
    this.neighbours = last - first === heads.length - 1;
    this.headsEnd = last + 1;
    const bytes = memberBytes(layout);
    this.words[at.MEMBER >>> 2] = member * bytes;
    this.words[at.MEMBER_BYTES >>> 2] = bytes;
    this.words[at.KEY_BYTES >>> 2] = kvBytes(layout.keyType, layout.keyWidth, "keys");
    this.words[at.KEY_TYPE >>> 2] = KV_CODES[layout.keyType];
    this.words[at.VALUE_TYPE >>> 2] = KV_CODES[layout.valueType];
    this.words[at.HEADS >>> 2] = heads.length;
    this.words[at.FIRST_HEAD >>> 2] = first;
  }
}
