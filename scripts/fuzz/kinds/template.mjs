// Chat templates: grown by a grammar that knows what engines stumble over, and real ones with stretches changed.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mutateText } from "../mutate.mjs";
import { CHATML, ggufVocabulary, SAMPLE_TEXTS } from "../vocabularies.mjs";
import { block, expression, GREEDY } from "./template-grammar.mjs";

const OWN = [
  CHATML,
  "{{ bos_token }}{%- for m in messages if m.role != 'system' %}[{{ loop.index0 }}:{{ m['role']|upper }}] {{ m.content | trim }}{% if not loop.last %}\n{% endif %}{% endfor %}",
  "{% set ns = namespace(text='', n=0) %}{% for m in messages %}{% set ns.text = ns.text ~ m.content %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.text }}{{ ns.n }}",
  "{% macro show(m, depth=0) %}{{ m.role }}{{ depth }}{% if depth < 3 %}{{ show(m, depth + 1) }}{% endif %}{% endmacro %}{% for m in messages %}{{ show(m) }}{% endfor %}",
  "{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0].content -%}{%- set messages = messages[1:] -%}{%- endif -%}{{ (system or 'none')|tojson }}{{ messages|map(attribute='content')|join('|') }}",
  "{% for m in messages %}{% if m.role == 'user' %}{{ m.content.split(' ')[-1] }}{% elif m.content is string %}{{ m.content[:5] ~ '...' }}{% else %}{{ raise_exception('no') }}{% endif %}{% endfor %}",
  "{{ strftime_now('%d %b %Y') }}{% filter upper %}{{ messages[-1].content }}{% endfilter %}{% call(x) (messages) %}{{ x }}{% endcall %}",
  "{% for a, b in {'x': 1, 'y': 2}.items() %}{{ a }}{{ b }}{% if a == 'x' %}{% continue %}{% endif %}{% break %}{% else %}none{% endfor %}{% generation %}t{% endgeneration %}",
];
const FOLDERS = ["../../../../shared/templates/", "../../../../shared/templates-next/"];

const CONVERSATIONS = [
  [{ role: "user", content: "hi" }],
  [
    { role: "system", content: "be brief" },
    { role: "user", content: "the cat <|im_end|>" },
    { role: "assistant", content: "sat" },
    { role: "user", content: "\u{1f600} {{ x }}" },
  ],
  [],
  [
    { role: "tool", content: "" },
    { role: "assistant", content: "x" },
  ],
];

export const template = {
  name: "template",

  /** @param options.shared whether the templates of real models beside the checkout are used, where they are */
  async prepare(library, { shared = true } = {}) {
    const found = shared ? FOLDERS.flatMap(templatesOf) : [];
    return { library, sources: [...OWN, ...found], vocabulary: ggufVocabulary("plain") };
  },

  async run({ library, sources, vocabulary }, random) {
    const source = grown(random, sources);
    const metadata = new Map(Object.entries({ ...vocabulary, "tokenizer.chat_template": source }));
    const made = library.createTokenizer({ kind: "gguf", metadata });
    const messages = random.chance(0.9)
      ? random.pick(CONVERSATIONS)
      : [{ role: "user", content: random.pick(SAMPLE_TEXTS) }];
    const variables = random.chance(0.2)
      ? { tools: [{ type: "function", function: { name: "f", parameters: {} } }], enable_thinking: true }
      : {};
    const text = made.renderChat(messages, {
      addGenerationPrompt: random.chance(0.7),
      guard: random.chance(0.3),
      variables,
    });
    if (typeof text !== "string") throw new Error("a template gave no text");
    if (text.length < 20000) made.encodeChat(messages, { variables });
  },
};

function templatesOf(folder) {
  const path = fileURLToPath(new URL(folder, import.meta.url));
  try {
    return readdirSync(path)
      .filter((name) => name.endsWith(".jinja"))
      .sort()
      .map((name) => readFileSync(`${path}${name}`, "utf8"));
  } catch {
    return [];
  }
}

function grown(random, sources) {
  switch (random.below(10)) {
    case 0:
      return random.pick(GREEDY)(random.pick([3, 12, 30, 300, 3000, 40000]));
    case 1:
    case 2:
    case 3:
      return mutateText(
        random,
        random.pick(sources),
        sources.flatMap((text) => [text.slice(0, 200), `{{ ${expression(random, 2)} }}`]).slice(0, 12),
      );
    default:
      return block(random);
  }
}
