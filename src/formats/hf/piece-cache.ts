/**
 * Tensors that cannot be read in their final order are made in pieces (a whole tensor, or one expert of it) while a model is
 * loaded. The loader reads a piece in several chunks, some at once; so the last piece that was made is kept until the
 * tensor's end was read. One cache serves a whole checkpoint: never more than a piece beyond those being copied.
 */

export class PieceCache {
  private current: { readonly owner: object; readonly index: number; readonly bytes: Promise<Uint8Array> } | undefined;

  /** The piece `index` of `owner`, made unless it is the last one that was asked for. */
  get(owner: object, index: number, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const { current } = this;
    if (current?.owner === owner && current.index === index) return current.bytes;
    const bytes = make();
    this.current = { owner, index, bytes };
    // What failed is made anew the next time.
    bytes.catch(() => this.drop(owner));
    return bytes;
  }

  drop(owner: object): void {
    if (this.current?.owner === owner) this.current = undefined;
  }
}
