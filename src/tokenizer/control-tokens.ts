/**
 * Which tokens steer the model. Files in use give `<|im_end|>` the type of a plain word, or of a word that the user added:
 * then a template's end of turn becomes ten pieces, and a user's message can write one. So tokens that are named as start or
 * end, those whose text is known to end a turn, and those that look like a mark of turns count as what they are.
 */
import { ENDS_BY_TEXT } from "./end-tokens.js";
import { isControl, TokenKind, type Vocabulary } from "./vocabulary.js";

export interface NamedTokens {
  /** Start and end tokens (of text, turn, message). */
  readonly limits: readonly (number | undefined)[];
  /** Unknown, padding, separators and the like: files put plain words there too. */
  readonly others: readonly (number | undefined)[];
  readonly chatTemplate: string | undefined;
}

/** `<|im_start|>` and its kin: no plain word looks like this. */
const BARRED = /^<[|｜][^\s<>|｜]+[|｜]?>$|^<[^\s<>|｜]+[|｜]>$/u;
/** `<pad>`, `</s>`, `[MASK]`. */
const BRACKETED = /^<[^\s<>]+>$|^\[\/?[\p{Lu}\d_]+\]$/u;
/** Marks of turns without bars. */
const TURN_MARKS = new Set(["<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"]);

/** The vocabulary with the kinds that its tokens really have. */
export function withControlTokens(vocabulary: Vocabulary, named: NamedTokens): Vocabulary {
  const kinds = vocabulary.kinds.slice();
  const { texts, ids } = vocabulary;
  for (const text of ENDS_BY_TEXT) {
    const id = ids.get(text);
    if (id !== undefined && !isTag(text, vocabulary)) kinds[id] = TokenKind.control;
  }
  for (const id of named.limits) if (id !== undefined && !isCharacter(texts[id])) kinds[id] = steering(kinds[id]);
  for (const id of named.others) {
    if (id !== undefined && BRACKETED.test(texts[id] ?? "")) kinds[id] = steering(kinds[id]);
  }
  texts.forEach((text, id) => {
    if (text === undefined) return;
    if (kinds[id] === TokenKind.normal && BARRED.test(text)) kinds[id] = TokenKind.control;
    if (kinds[id] === TokenKind.userDefined && marksTurns(text, named.chatTemplate)) kinds[id] = TokenKind.marker;
  });
  return { texts, ids, kinds };
}

/** Unknown tokens and bytes stay what they are: neither is read from text. */
const steering = (kind: number): number => (isControl(kind) || kind === TokenKind.byte ? kind : TokenKind.control);

/** A file may end texts with a line break: as a character it is still needed to write one. */
const isCharacter = (text: string | undefined): boolean => text === undefined || [...text].length <= 1;

/** Vocabularies that end with `<eos>` have `</s>` as a tag of HTML. */
export const isTag = (text: string, { ids }: Vocabulary): boolean => text === "</s>" && ids.has("<eos>");

/** Whether a token that the user added is one that the template writes, or looks like it: then no message may. */
function marksTurns(text: string, template: string | undefined): boolean {
  if (BARRED.test(text) || TURN_MARKS.has(text)) return true;
  return /\p{L}/u.test(text) && /[<>[\]|｜{}#:]/u.test(text) && template?.includes(text) === true;
}
