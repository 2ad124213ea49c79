/** Trained models for tests: what a checkpoint holds, as training hands it over; and the logits of a file. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal, specOf } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { openCheckpoint } from "../../src/formats/open.js";
import type { StreamedFile } from "../../src/formats/write/gguf-writer.js";
import { weightUses } from "../../src/nn/weights.js";
import { nodePlatform } from "../../src/platform/node.js";
import { dequantiseRow } from "../../src/quant/index.js";
import type { TrainedModel, TrainedTensor } from "../../src/train/export/index.js";

export interface Numbers {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** The tensors of a model file or folder in f32, by name, with the metadata. */
export async function contentsOf(location: string) {
  const checkpoint = await openCheckpoint(location, nodePlatform);
  const tensors = new Map<string, Numbers & { readonly dtype: string }>();
  for (const [name, entry] of checkpoint.tensors) {
    const bytes = new Uint8Array(entry.bytes);
    await entry.read(0, bytes);
    const values = new Float32Array(entry.rows * entry.cols);
    for (let row = 0; row < entry.rows; row++) {
      const at = (row * entry.bytes) / entry.rows;
      dequantiseRow(entry.dtype, bytes, at, entry.cols, values.subarray(row * entry.cols, (row + 1) * entry.cols));
    }
    tensors.set(name, { rows: entry.rows, cols: entry.cols, values, dtype: entry.dtype });
  }
  const spec = await specOf(checkpoint);
  await checkpoint.close();
  return { checkpoint, tensors, spec };
}

/** What training would hand over of a file that holds f32. */
export async function trainedFrom(location: string, tokenizer?: object): Promise<TrainedModel> {
  const { checkpoint, tensors, spec } = await contentsOf(location);
  const exact = new Set(weightUses(spec).flatMap(({ ref }) => (ref.exact ? [ref.tensor] : [])));
  const list = [...tensors].map(([name, { rows, cols, values }]): TrainedTensor => {
    return { name, rows, cols, exact: rows === 1 || exact.has(name), read: () => values };
  });
  const { architecture, metadata } = checkpoint;
  return { architecture, metadata, tensors: list, tokenizer };
}

/** Writes a file without waiting for the disk. */
export async function writeStreamed(path: string, file: StreamedFile): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of file.chunks()) parts.push(chunk.slice());
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

/** The first element that is not the same bits; -1 for none. (The test library compares large arrays slowly.) */
export function difference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  return a.findIndex((value, i) => !Object.is(value, b[i]));
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "sluice-export-"));
}

/** Logits behind every id, by the reference backend. */
export async function logitsOf(location: string, ids: Int32Array): Promise<Float32Array[]> {
  const model = await loadLocal(location, { backend: "reference", threads: 1 });
  try {
    return await logitsBy(model, ids);
  } finally {
    await model.dispose();
  }
}

async function logitsBy({ runner, info }: LocalModel, ids: Int32Array): Promise<Float32Array[]> {
  const { backend, decoder } = runner;
  const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: ids.length } as const;
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  if (info.encoderDecoder) await runner.encode(memory, ids.subarray(0, 5));
  const rows: Float32Array[] = [];
  await runner.run(memory, ids, "all", (logits) => {
    for (let t = 0; t < ids.length; t++) rows.push(logits.slice(t * info.vocabulary, (t + 1) * info.vocabulary));
  });
  memory.dispose();
  return rows;
}
