/**
 * Which tokens end an answer. Models name one in their metadata and use several (end of turn, of message, of text), so
 * well-known texts are looked up too.
 */
import { TokenKind, type Vocabulary } from "./vocabulary.js";

const END_TEXTS = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|endoftext|>",
  "<|end_of_turn|>",
  "<|end_of_role|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "<|return|>",
  "<|call|>",
  "<|eot|>",
  "<EOT>",
  "_<EOT>",
  "<｜end▁of▁sentence｜>",
  "[EOS]",
  "<eos>",
];
/** With these two (gpt-oss), `<|end|>` closes a message within an answer, not the answer. */
const HARMONY = ["<|return|>", "<|call|>"];

/** The ids given and those of well-known texts; plain words of the vocabulary that look like one are left alone. */
export function endIds(vocabulary: Vocabulary, named: readonly (number | undefined)[]): ReadonlySet<number> {
  const ids = new Set(named.filter((id) => id !== undefined));
  const harmony = HARMONY.every((text) => vocabulary.ids.has(text));
  for (const text of END_TEXTS) {
    const id = vocabulary.ids.get(text);
    if (id === undefined || vocabulary.kinds[id] === TokenKind.normal) continue;
    if (!(harmony && text === "<|end|>")) ids.add(id);
  }
  return ids;
}
