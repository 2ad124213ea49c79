/** Options as TypeScript sees them under exactOptionalPropertyTypes: undefined counts as not given. */
import { expect, expectTypeOf, it } from "vitest";
import { sessionSettings } from "../../src/engine/session/session-options.js";
import type {
  CacheType,
  DecodeTextOptions,
  EncodeOptions,
  EncodeTextOptions,
  GenerateOptions,
  HubFetchOptions,
  LoadOptions,
  OpenOptions,
  RenderChatOptions,
  ScoreOptions,
  SessionOptions,
} from "../../src/index.js";
import type { DecodeOptions, RenderOptions } from "../../src/tokenizer/tokenizer.js";

/** The names of options that refuse undefined. */
type Strict<Options> = {
  [Name in keyof Options]-?: undefined extends Required<Options>[Name] ? never : Name;
}[keyof Options];

it("every option may be undefined", () => {
  // The check itself sees one that may not.
  expectTypeOf<Strict<{ readonly a?: number; readonly b?: number | undefined }>>().toEqualTypeOf<"a">();
  expectTypeOf<Strict<LoadOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<SessionOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<GenerateOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<ScoreOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<EncodeOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<EncodeTextOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<DecodeOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<DecodeTextOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<RenderOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<RenderChatOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<OpenOptions>>().toEqualTypeOf<never>();
  expectTypeOf<Strict<HubFetchOptions>>().toEqualTypeOf<never>();
});

it("cache types are known by name, and a text from a setting is one too", () => {
  const known: readonly CacheType[] = ["f32", "f16", "q8", "q4", "q8/f16", "f16/q8", "q8/q4"];
  const setting: string = ["q8", "f32"].join("/");
  const read = (kv: CacheType | undefined) => {
    const { keyType, valueType } = sessionSettings({ kv });
    return `${keyType}/${valueType}`;
  };
  expect(known.map(read)).toEqual(["f32/f32", "f16/f16", "q8/q8", "q4/q4", "q8/f16", "f16/q8", "q8/q4"]);
  expect([read(setting), read(undefined)]).toEqual(["q8/f32", "f16/f16"]);
  expect(() => read("q5")).toThrow(/found "q5"\.$/);
  const meant = ["Q4", "q8,q4", "q8_0", "F16 / Q4_0"].map((text) => {
    try {
      return read(text);
    } catch (error) {
      return /Did you mean "(.*)"\?$/.exec(String(error))?.[1];
    }
  });
  expect(meant).toEqual(["q4", "q8/q4", "q8", "f16/q4"]);
});
