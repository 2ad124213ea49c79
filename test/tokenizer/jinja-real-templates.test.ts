/** All templates of ../shared over several conversations against Jinja2 (jinja/real_templates.py writes the table). */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ChatTemplate } from "../../src/tokenizer/chat-template.js";
import type { ChatMessage } from "../../src/tokenizer/tokenizer.js";
import { SluiceError } from "../../src/util/errors.js";
import { hasShared, sharedText } from "../support/shared-vocabularies.js";

interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly add_generation_prompt?: boolean;
  readonly [variable: string]: unknown;
}

type Case = { readonly template: string; readonly conversation: string } & (
  | { readonly error: string }
  | { readonly bytes: number; readonly sha256: string; readonly end: string }
);

interface Table {
  readonly now: readonly [number, number, number, number, number, number];
  readonly conversations: Readonly<Record<string, Conversation>>;
  readonly cases: readonly Case[];
}

const table: Table = JSON.parse(readFileSync(new URL("jinja/real-templates.json", import.meta.url), "utf8"));
const [year, month, ...rest] = table.now;
const now = new Date(year, month - 1, ...rest);

/** What Sluice puts in where a template misses it, kept away. */
const AS_GIVEN = { tools: null, documents: null, functions: undefined, datetime: undefined };

function render(template: ChatTemplate, conversation: string): string {
  const {
    messages,
    add_generation_prompt: addGenerationPrompt = true,
    ...variables
  } = table.conversations[conversation];
  return template.render(messages, { addGenerationPrompt, variables: { ...AS_GIVEN, ...variables } }, { now });
}

describe.skipIf(!hasShared)("templates of real models as Jinja2 renders them", () => {
  const names = [...new Set(table.cases.map(({ template }) => template))];

  it("are seventy", () => expect(names).toHaveLength(70));

  it.each(names)("%s", (name) => {
    const template = new ChatTemplate(sharedText(name), { bos_token: "<s>", eos_token: "</s>" });
    for (const one of table.cases.filter((each) => each.template === name)) {
      if ("error" in one) {
        expect(() => render(template, one.conversation), one.conversation).toThrow(SluiceError);
        continue;
      }
      const text = render(template, one.conversation);
      const sha256 = createHash("sha256").update(text).digest("hex");
      const made = { end: [...text].slice(-40).join(""), bytes: Buffer.byteLength(text), sha256 };
      expect(made, one.conversation).toEqual({ end: one.end, bytes: one.bytes, sha256: one.sha256 });
    }
  });
});
