/** The tokenizer put together from its parts: added tokens, text model, token bytes, chat template. */
import type { AddedTokens } from "./added-tokens.js";
import { ChatTemplate } from "./chat-template.js";
import { IdList } from "./id-list.js";
import { guardMessages, markText, withoutGuard } from "./message-guard.js";
import type { TextModel } from "./text-model.js";
import { decodeIds, type TokenBytes, Utf8TokenStream } from "./token-stream.js";
import type { ChatMessage, DecodeOptions, EncodeOptions, RenderOptions, Tokenizer, TokenStream } from "./tokenizer.js";
import type { Vocabulary } from "./vocabulary.js";

export interface TokenizerParts {
  readonly vocabulary: Vocabulary;
  /** Read as tokens before the text model sees the text. */
  readonly addedTokens: AddedTokens;
  readonly model: TextModel;
  readonly bytes: TokenBytes;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly endIds: ReadonlySet<number>;
  /** Ids that go before and after every text by default. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  readonly chatTemplate: string | undefined;
  readonly notes?: readonly string[];
}

export class VocabularyTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly endIds: ReadonlySet<number>;
  readonly addsBos: boolean;
  readonly prefix: readonly number[];
  readonly notes: readonly string[];
  readonly chatTemplate: string | undefined;
  private readonly parts: TokenizerParts;
  private readonly template: ChatTemplate;

  constructor(parts: TokenizerParts) {
    this.parts = parts;
    this.vocabSize = parts.vocabulary.texts.length;
    this.bosId = parts.bosId;
    this.eosId = parts.eosId;
    this.endIds = parts.endIds;
    this.addsBos = parts.bosId !== undefined && parts.prefix.includes(parts.bosId);
    this.prefix = parts.prefix;
    this.notes = parts.notes ?? [];
    this.chatTemplate = parts.chatTemplate;
    this.template = new ChatTemplate(parts.chatTemplate, {
      bos_token: this.textOf(parts.bosId),
      eos_token: this.textOf(parts.eosId),
    });
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const { addSpecial = true, parseSpecial = true, guarded = false, check } = options;
    const { addedTokens, model, prefix, suffix } = this.parts;
    const out = new IdList();
    if (addSpecial) out.pushAll(prefix);
    let sections = 0;
    for (const section of addedTokens.sections(text, parseSpecial)) {
      if (sections++ % 1024 === 0) check?.();
      if ("token" in section) out.push(section.token.id);
      else {
        const plain = guarded ? withoutGuard(section.text) : section.text;
        model.encode(plain, { first: section.start === 0, parseSpecial: parseSpecial && !guarded, check }, out);
      }
    }
    if (addSpecial) out.pushAll(suffix);
    return out.toArray();
  }

  decode(ids: ArrayLike<number>, options?: DecodeOptions): string {
    return decodeIds(this.parts.bytes, ids, options);
  }

  tokenText(id: number): string {
    return this.textOf(id);
  }

  stream(options?: DecodeOptions): TokenStream {
    return new Utf8TokenStream(this.parts.bytes, options);
  }

  renderChat(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const { addedTokens } = this.parts;
    if (!options.guard) return this.template.render(messages, options);
    const remark = (text: string) => markText(text, addedTokens);
    return this.template.render(guardMessages(messages, addedTokens), options, { remark });
  }

  encodeChat(messages: readonly ChatMessage[], options?: RenderOptions): Int32Array {
    const text = this.renderChat(messages, { ...options, guard: true });
    const ids = this.encode(text, { addSpecial: false, guarded: true });
    return withPrefix(ids, this.prefix);
  }

  private textOf(id: number | undefined): string {
    return (id === undefined ? undefined : this.parts.vocabulary.texts[id]) ?? "";
  }
}

/** The ids with what goes before a text, unless they begin with it already. */
export function withPrefix(ids: Int32Array, prefix: readonly number[]): Int32Array {
  if (prefix.every((id, i) => ids[i] === id)) return ids;
  const started = new Int32Array(ids.length + prefix.length);
  started.set(prefix);
  started.set(ids, prefix.length);
  return started;
}
