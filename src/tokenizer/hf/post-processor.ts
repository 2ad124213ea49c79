/** What the post-processor of a tokenizer.json puts around a single text. */
import { UnsupportedError } from "../../util/errors.js";
import { isFields, listOf, optionalFields, textOf } from "../json-fields.js";
import type { Vocabulary } from "../vocabulary.js";

export interface AroundText {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** The tokens that the post-processor puts around a single text. */
export function aroundText(processor: unknown, vocabulary: Vocabulary): AroundText {
  const fields = optionalFields(processor, "tokenizer.json: post_processor");
  if (!fields) return { prefix: [], suffix: [] };
  switch (fields.type) {
    case "Sequence": {
      const all = listOf(fields.processors, "tokenizer.json: post_processor.processors");
      const parts = all.map((part) => aroundText(part, vocabulary));
      return { prefix: parts.flatMap((part) => part.prefix), suffix: parts.flatMap((part) => part.suffix) };
    }
    case "BertProcessing":
    case "RobertaProcessing":
      return { prefix: pairId(fields.cls), suffix: pairId(fields.sep) };
    case "TemplateProcessing":
      return templateIds(listOf(fields.single, "tokenizer.json: post_processor.single"), vocabulary);
    case "ByteLevel": // only moves offsets
      return { prefix: [], suffix: [] };
    default:
      throw new UnsupportedError(`tokenizer.json: the post_processor "${String(fields.type)}" isn't supported.`, {
        type: String(fields.type),
      });
  }
}

const pairId = (value: unknown) => (Array.isArray(value) && typeof value[1] === "number" ? [value[1]] : []);

function templateIds(items: readonly unknown[], vocabulary: Vocabulary) {
  const text = items.findIndex((item) => isFields(item) && "Sequence" in item);
  const ids = items.map((item) => {
    const special = isFields(item) && isFields(item.SpecialToken) ? textOf(item.SpecialToken.id) : undefined;
    return special === undefined ? undefined : vocabulary.ids.get(special);
  });
  const known = (list: readonly (number | undefined)[]) => list.filter((id) => id !== undefined);
  return { prefix: known(ids.slice(0, Math.max(text, 0))), suffix: known(ids.slice(text + 1)) };
}

/** `add_bos_token` and `add_eos_token` of the configuration have the last word over the post-processor. */
export function withToken(ids: readonly number[], id: number | undefined, wanted: unknown, place: "start" | "end") {
  if (typeof wanted !== "boolean" || id === undefined || ids.includes(id) === wanted) return ids;
  if (!wanted) return ids.filter((other) => other !== id);
  return place === "start" ? [id, ...ids] : [...ids, id];
}
