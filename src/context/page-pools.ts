/**
 * The pages of all sequences of a backend: one store for each layout and place, so that sequences can share pages. A store
 * lives as long as somebody uses it.
 */
import type { Backend } from "../tensor/backend.js";
import type { KvLayout, KvStore } from "../tensor/kv.js";

interface Pool {
  readonly store: KvStore;
  users: number;
}

export class PagePools {
  private static readonly byBackend = new WeakMap<Backend, PagePools>();
  private readonly pools = new Map<string, Pool>();

  private constructor(private readonly backend: Backend) {}

  static of(backend: Backend): PagePools {
    const known = PagePools.byBackend.get(backend);
    if (known) return known;
    const made = new PagePools(backend);
    PagePools.byBackend.set(backend, made);
    return made;
  }

  /** Begins to use the store of this layout in the place of `layer`. @throws UnsupportedError for layouts that the backend has not */
  open(layout: KvLayout, layer: number): { readonly store: KvStore; readonly close: () => void } {
    const { members, keyWidth, valueWidth, keyType, valueType } = layout;
    const key = `${this.backend.placeOf(layer)}/${members}/${keyWidth}/${valueWidth}/${keyType}/${valueType}`;
    const pool = this.pools.get(key) ?? { store: this.backend.kvStore(layout, layer), users: 0 };
    this.pools.set(key, pool);
    pool.users++;
    return { store: pool.store, close: () => this.close(key, pool) };
  }

  /** One user less: what nobody holds goes back to the backend. */
  private close(key: string, pool: Pool): void {
    pool.users--;
    if (pool.users > 0) {
      pool.store.trim();
      return;
    }
    this.pools.delete(key);
    pool.store.dispose();
  }
}
