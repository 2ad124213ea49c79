/** Sequences of one model, alone and together in a step. */
import type { KvCacheOptions } from "../../src/context/kv-cache.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import type { Decoder } from "../../src/nn/decoder.js";
import type { Backend } from "../../src/tensor/backend.js";
import { batchStep, type Member } from "./batch-step.js";

/** Opens sequences of a model, and runs steps of several of which each row's logits are read. */
export class Together {
  constructor(
    readonly backend: Backend,
    readonly decoder: Decoder,
  ) {}

  open(options: Pick<KvCacheOptions, "policy"> & Partial<KvCacheOptions>): SequenceMemory {
    return new SequenceMemory(this.backend, this.decoder.shapes, {
      keyType: "f32",
      valueType: "f32",
      limit: 4096,
      ...options,
    });
  }

  /** Logits by member and row. */
  run(members: readonly Member[]): Promise<Float32Array[][]> {
    return batchStep({ runner: this }, members);
  }

  /** Reads a text alone, in chunks of these sizes in turn. */
  async read(
    memory: SequenceMemory,
    ids: Int32Array,
    chunks: readonly number[] = [ids.length],
  ): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for (let at = 0, turn = 0; at < ids.length; turn++) {
      const count = memory.stepLimit(Math.min(chunks[turn % chunks.length], ids.length - at));
      const [own] = await this.run([{ memory, ids: ids.subarray(at, at + count) }]);
      rows.push(...own);
      at += count;
    }
    return rows;
  }
}
