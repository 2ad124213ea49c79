/** The registry of Hugging Face architectures, by `model_type`: adding one is adding its file and a line here. */
import type { HfArchitecture } from "./architecture.js";
import { bloom } from "./bloom.js";
import { falcon } from "./falcon.js";
import { gemma2, gemma3, gemma3Text } from "./gemma.js";
import { gptNeox } from "./gpt-neox.js";
import { gptOss } from "./gpt-oss.js";
import { gpt2, gptBigCode } from "./gpt2.js";
import { jamba } from "./jamba.js";
import { llama, mistral, mixtral, qwen2, qwen3 } from "./llama.js";
import { mamba, mamba2 } from "./mamba.js";
import { mpt } from "./mpt.js";
import { phi3 } from "./phi3.js";
import { t5 } from "./t5.js";

export const HF_ARCHITECTURES: Readonly<Record<string, HfArchitecture>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  mixtral,
  gpt2,
  gpt_bigcode: gptBigCode,
  gpt_neox: gptNeox,
  bloom,
  falcon,
  mpt,
  phi3,
  gemma2,
  gemma3,
  gemma3_text: gemma3Text,
  gpt_oss: gptOss,
  mamba,
  mamba2,
  jamba,
  t5,
};
