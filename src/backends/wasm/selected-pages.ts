/** Lists of chosen pages in a Wasm memory, as commands find them (kernels/attention/select-pages.ts). They live as a tensor. */
import type { SelectedPages } from "../../tensor/backend.js";
import type { KvOwner } from "./kv-owner.js";

export class WasmPages implements SelectedPages {
  /**
   * @param lists where the addresses of the pages are, [heads, pages]
   * @param entries where their entries in the page table are
   */
  constructor(
    private readonly owner: KvOwner,
    readonly heads: number,
    readonly pages: number,
    readonly lists: number,
    readonly entries: number,
  ) {}

  get place(): number {
    return this.owner.space.place;
  }

  /** Of the lists, and of the entries. */
  get bytes(): number {
    return this.heads * this.pages * 4;
  }

  async read(): Promise<Int32Array> {
    this.owner.flush();
    return this.owner.space.i32.slice(this.entries >>> 2, (this.entries + this.bytes) >>> 2);
  }
}
