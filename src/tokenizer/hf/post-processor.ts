/** What the post-processor of a tokenizer.json puts around a single text. */
import { FormatError, UnsupportedError } from "../../util/errors.js";
import { type Fields, fieldsOf, listOf, optionalFields, textOf } from "../json-fields.js";
import type { Vocabulary } from "../vocabulary.js";
import { flattenSteps } from "./steps.js";

const PLACE = "tokenizer.json: post_processor";

export interface AroundText {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** @throws UnsupportedError for kinds that are not known, FormatError for tokens that the vocabulary doesn't have */
export function aroundText(processor: unknown, vocabulary: Vocabulary): AroundText {
  const parts = flattenSteps(processor, "processors").map((step) => aroundOf(step, vocabulary));
  // Each goes around what those before it have made.
  return {
    prefix: parts.toReversed().flatMap((part) => part.prefix),
    suffix: parts.flatMap((part) => part.suffix),
  };
}

function aroundOf(step: Fields, vocabulary: Vocabulary): AroundText {
  switch (step.type) {
    case "BertProcessing":
    case "RobertaProcessing":
      return { prefix: [pairId(step.cls, "cls", vocabulary)], suffix: [pairId(step.sep, "sep", vocabulary)] };
    case "TemplateProcessing":
      return templateIds(step, vocabulary);
    case "ByteLevel": // only moves offsets
      return { prefix: [], suffix: [] };
    default:
      throw new UnsupportedError(`tokenizer.json: the post_processor "${String(step.type)}" isn't supported.`, {
        type: String(step.type),
      });
  }
}

/** A token's text and its id, as ["</s>", 2]. */
function pairId(value: unknown, name: string, vocabulary: Vocabulary): number {
  const id: unknown = Array.isArray(value) ? value[1] : undefined;
  return knownId(id, `${PLACE}.${name}`, vocabulary);
}

function knownId(id: unknown, place: string, { texts }: Vocabulary): number {
  if (typeof id === "number" && texts[id] !== undefined) return id;
  const found = typeof id === "number" ? `found ${id}` : "found none";
  throw new FormatError(`${place} needs the id of a token below ${texts.length}; ${found}.`, { place });
}

/** What a template for one text has before and behind it. */
function templateIds(step: Fields, vocabulary: Vocabulary): AroundText {
  const items = listOf(step.single, `${PLACE}.single`).map((item) => fieldsOf(item, `${PLACE}.single`));
  const texts = items.flatMap((item, i) => (item.Sequence === undefined ? [] : [i]));
  if (texts.length !== 1) {
    throw new UnsupportedError(`${PLACE}.single has ${texts.length} places for the text; exactly one is supported.`);
  }
  const specials = optionalFields(step.special_tokens, `${PLACE}.special_tokens`);
  const idsOf = (part: readonly Fields[]) =>
    part.flatMap(({ SpecialToken: special }) => {
      const name = textOf(fieldsOf(special, `${PLACE}.single: SpecialToken`).id) ?? "";
      return specialIds(name, specials, vocabulary);
    });
  return { prefix: idsOf(items.slice(0, texts[0])), suffix: idsOf(items.slice(texts[0] + 1)) };
}

/** The special tokens of a template are those that it lists itself; by old files, which list none, the vocabulary's. */
function specialIds(name: string, specials: Fields | undefined, vocabulary: Vocabulary): readonly number[] {
  const place = `${PLACE}: the token ${JSON.stringify(name)}`;
  if (!specials) return [knownId(vocabulary.ids.get(name), place, vocabulary)];
  if (!Object.hasOwn(specials, name)) throw new FormatError(`${place} is not among its special_tokens.`);
  return listOf(fieldsOf(specials[name], place).ids, `${place}: ids`).map((id) => knownId(id, place, vocabulary));
}

/** `add_bos_token` and `add_eos_token` of the configuration have the last word over the post-processor. */
export function withToken(ids: readonly number[], id: number | undefined, wanted: unknown, place: "start" | "end") {
  if (typeof wanted !== "boolean" || id === undefined || ids.includes(id) === wanted) return ids;
  if (!wanted) return ids.filter((other) => other !== id);
  return place === "start" ? [id, ...ids] : [...ids, id];
}
