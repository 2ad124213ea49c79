/**
 * The simple generate: greedy, the whole text from scratch for every token, no cache kept, no policy. It is the oracle
 * that the engine is tested against; read it to know what generation means.
 */
import { parsePolicy } from "../../context/policy-text.js";
import { SequenceMemory } from "../../context/sequence-memory.js";
import type { Decoder } from "../../nn/decoder.js";
import type { Backend } from "../../tensor/backend.js";
import { StepRunner } from "../step/step-runner.js";

/** The ids that follow `prompt` (at least one id), always the most likely one. */
export async function generate(
  backend: Backend,
  decoder: Decoder,
  prompt: Int32Array,
  count: number,
): Promise<number[]> {
  const runner = new StepRunner(backend, decoder);
  const ids = [...prompt];
  for (let made = 0; made < count; made++) {
    const limit = ids.length;
    const memory = new SequenceMemory(backend, decoder.shapes, {
      policy: parsePolicy("full"),
      keyType: "f32",
      valueType: "f32",
      limit,
    });
    ids.push(await runner.run(memory, Int32Array.from(ids), "last", argmax));
    memory.dispose();
  }
  return ids.slice(prompt.length);
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}
