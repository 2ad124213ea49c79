/**
 * The types of the cache by name. Adding one is adding a file here and one in kernels/kv/, and a line here, in
 * kernels/kv/kv-page.ts, kernels/abi.ts, tensor/dtype.ts and backends/wasm/kv-layout.ts.
 */
import type { KvType } from "../../tensor/dtype.js";
import { f16 } from "./f16.js";
import { f32 } from "./f32.js";
import type { KvFormat } from "./kv-format.js";
import { q4 } from "./q4.js";
import { q8 } from "./q8.js";

export type { KvFormat } from "./kv-format.js";

export const KV_FORMATS: Readonly<Record<KvType, KvFormat>> = { f32, f16, q8, q4 };
