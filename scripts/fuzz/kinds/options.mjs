// Arguments of the public calls: of every kind, with unknown names, getters that throw, proxies, cycles; in place and in the
// engine's thread. A session is used as a careless program would: calls in any order, iterations left and resumed.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ggufBytes } from "../gguf-file.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { smallModels } from "../small-models.mjs";
import { anyOptions, anything } from "./arguments.mjs";

const PROMPTS = ["the cat", "", "a", [1, 2, 3], Int32Array.of(5, 6), [], new Uint8Array([7, 8])];
const MESSAGES = [
  "hi",
  "",
  [{ role: "user", content: "a" }],
  [
    { role: "system", content: "s" },
    { role: "user", content: "u" },
  ],
  [],
  [{ role: "user", content: null }],
];

export const options = {
  name: "options",

  /** @param more.threads whether a model in a thread of its own takes part, which needs the built package */
  async prepare(library, { threads = true } = {}) {
    const files = new MemoryFiles(library);
    const [made] = smallModels(library, /^llama$/);
    const state = { library, files, bytes: ggufBytes(made), models: [], folder: undefined };
    files.set({ "m.gguf": state.bytes }).install();
    state.models.push(await library.load("m.gguf", { thread: false, backend: "reference", threads: 1 }));
    if (threads) {
      state.folder = mkdtempSync(join(tmpdir(), "sluice-fuzz-"));
      state.path = join(state.folder, "m.gguf");
      writeFileSync(state.path, state.bytes);
      state.models.push(await library.load(state.path, { thread: true, backend: "reference", threads: 1 }));
    }
    return state;
  },

  async run(state, random, judge) {
    const model = random.pick(state.models);
    const calls = new Calls(state, model, random, judge);
    await calls.load();
    const session = await calls.make();
    for (let i = random.between(1, 4); session && i > 0; i--) await calls.use(session);
    await calls.model();
    if (session) await calls.afterwards(session);
  },

  async end({ models, folder }) {
    for (const model of models) await model.dispose();
    if (folder) rmSync(folder, { recursive: true, force: true });
  },
};

class Calls {
  constructor(state, model, random, judge) {
    Object.assign(this, { state, target: model, random, judge });
  }

  /** Loads something with odd options now and then: it takes longer than the other calls. */
  async load() {
    const { random, state } = this;
    if (!random.chance(0.15)) return;
    state.files.set({ "m.gguf": state.bytes }).install();
    const location = random.chance(0.8) ? "m.gguf" : anything(random);
    const inPlace = anyOptions(random, "load");
    if (typeof inPlace === "object" && inPlace !== null && !Array.isArray(inPlace)) forced(inPlace, "thread", false);
    const model = await this.judge("load", () => state.library.load(location, inPlace));
    if (model) await this.judge("dispose", () => model.dispose());
  }

  async make() {
    const { random, target } = this;
    const session = await this.judge("session", async () =>
      target.session(random.chance(0.6) ? anyOptions(random, "session") : { context: "sinks:2,recent:6" }),
    );
    return session ?? target.session();
  }

  async use(session) {
    const { random } = this;
    const { prompt, messages } = {
      prompt: random.chance(0.6) ? random.pick(PROMPTS) : anything(random),
      messages: random.chance(0.6) ? random.pick(MESSAGES) : anything(random),
    };
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        return this.iterate("generate", () => session.generate(prompt, anyOptions(random, "generate")));
      case 3:
        return this.iterate("chat", () => session.chat(messages, anyOptions(random, "chat")));
      case 4:
        return this.iterate("score", () => session.score(prompt, anyOptions(random, "score")));
      case 5:
        return this.judge("save", () => session.save());
      case 6:
        return this.judge("reset", () => session.reset());
      default:
        return this.together(session);
    }
  }

  /** Two at once: one of them may say that the session is busy. */
  async together(session) {
    const calls = [
      () => session.generate("a", { maxTokens: 2 }),
      () => session.score("ab"),
      () => session.chat("a", { maxTokens: 1 }),
    ];
    await Promise.all([0, 1].map(() => this.iterate("two at once", this.random.pick(calls))));
    await this.iterate("generate afterwards", () => session.generate([], { maxTokens: 1 }));
  }

  iterate(name, start) {
    const most = this.random.pick([0, 1, 6, 6, 6]);
    return this.judge(name, async () => {
      let count = 0;
      for await (const part of start()) {
        if (typeof part !== "object") throw new Error(`a part is ${typeof part}`);
        if (++count > most) break;
      }
      return true;
    });
  }

  async model() {
    const { random, target } = this;
    const odd = (right) => (random.chance(0.4) ? right : anything(random));
    switch (random.below(7)) {
      case 0:
        return this.judge("encode", () => target.encode(odd("the cat"), anyOptions(random, "encode")));
      case 1:
        return this.judge("decode", () => target.decode(odd([1, 2, 3]), anyOptions(random, "decode")));
      case 2:
        return this.judge("tokenTexts", () => target.tokenTexts(odd([1, 2])));
      case 3:
        return this.judge("renderChat", () => target.renderChat(odd([{ role: "user", content: "a" }])));
      case 4:
        return this.judge("plan", () => target.plan(anyOptions(random, "session")));
      case 5:
        return this.judge("restore", () => target.restore(anything(random)));
      default:
        return this.judge("parsePolicy", () => this.state.library.parsePolicy(odd("sinks:2,recent:4")));
    }
  }

  /** What was odd must not have spoilt it; then it ends, and stays ended. */
  async afterwards(session) {
    await this.judge("dispose", () => session.dispose(), { mustDo: true });
    if (this.random.chance(0.3)) {
      await this.judge("dispose again", () => session.dispose(), { mustDo: true });
      await this.iterate("generate when disposed", () => session.generate("a", { maxTokens: 1 }));
    }
    if (!this.random.chance(0.1)) return;
    const fresh = this.target.session();
    const ids = await this.judge(
      "a fresh session",
      async () => {
        const parts = [];
        for await (const { id } of fresh.generate("the cat", { maxTokens: 3, temperature: 0, ignoreEnd: true }))
          if (id !== undefined) parts.push(id);
        return parts;
      },
      { mustDo: true },
    );
    if (ids && ids.length !== 3) throw new Error(`a fresh session gave ${ids.length} tokens, expected 3`);
    await fresh.dispose();
  }
}

function forced(object, key, value) {
  try {
    object[key] = value;
  } catch {
    // Frozen, or a proxy that refuses: then it loads as it says.
  }
}
