/**
 * Which tokens end an answer. Models name one in their metadata and use several (end of turn, of message, of text, what
 * stands between files in code), so well-known texts are looked up too, as llama.cpp does.
 */
import { TokenKind, type Vocabulary } from "./vocabulary.js";

/** Texts that end an answer, whatever the type of their token. */
export const ENDS_BY_TEXT: readonly string[] = [
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
  "<|calls|>",
  "<|flush|>",
  "<|eot|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "<｜end▁of▁sentence｜>",
  "</s>",
  "[EOS]",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "[e~[",
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<reponame>",
  "<|file_sep|>",
];

/** With one of these pairs (gpt-oss, Solar Open), `<|end|>` closes a message within an answer, not the answer. */
const CLOSES_MESSAGES = [
  ["<|return|>", "<|call|>"],
  ["<|return|>", "<|calls|>"],
  ["<|call|>", "<|flush|>"],
  ["<|calls|>", "<|flush|>"],
];

/** The ids given and those of well-known texts. */
export function endIds(vocabulary: Vocabulary, named: readonly (number | undefined)[]): ReadonlySet<number> {
  const { ids, kinds } = vocabulary;
  const found = new Set(named.filter((id) => id !== undefined));
  const messages = CLOSES_MESSAGES.some((pair) => pair.every((text) => ids.has(text)));
  for (const text of ENDS_BY_TEXT) {
    const id = ids.get(text);
    if (id !== undefined && kinds[id] === TokenKind.control && !(messages && text === "<|end|>")) found.add(id);
  }
  return found;
}
