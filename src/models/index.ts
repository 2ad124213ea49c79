/**
 * The registry of architectures, by `general.architecture`: adding one is adding its file and a line here.
 * Unstable: may change in any version (docs/stability.md).
 */
import { UnsupportedError } from "../util/errors.js";
import type { Architecture } from "./architecture.js";
import { bloom } from "./bloom.js";
import { falcon } from "./falcon.js";
import { gemma2, gemma3 } from "./gemma.js";
import { gptOss } from "./gpt-oss.js";
import { gpt2 } from "./gpt2.js";
import { gptneox } from "./gptneox.js";
import { jamba } from "./jamba.js";
import { llamaLike } from "./llama.js";
import { mamba, mamba2 } from "./mamba.js";
import { mpt } from "./mpt.js";
import { phi3 } from "./phi3.js";
import { sluice } from "./sluice.js";
import { t5 } from "./t5.js";

export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: llamaLike({ rope: "interleaved" }),
  mistral: llamaLike({ rope: "interleaved", window: true }),
  qwen2: llamaLike({ rope: "halves" }),
  qwen3: llamaLike({ rope: "halves", headNorms: true }),
  phi3,
  gemma2,
  gemma3,
  "gpt-oss": gptOss,
  gpt2,
  starcoder: gpt2,
  gptneox,
  falcon,
  bloom,
  mpt,
  mamba,
  mamba2,
  jamba,
  t5,
  sluice,
};

/** @throws UnsupportedError that lists what is supported */
export function architectureOf(name: string): Architecture {
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (architecture) return architecture;
  const known = Object.keys(ARCHITECTURES).join(", ");
  throw new UnsupportedError(`The architecture "${name}" is not supported yet; supported are ${known}.`, {
    architecture: name,
  });
}
