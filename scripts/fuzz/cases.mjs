// Runs cases and judges how they end: well, or with a typed error that says what is the matter. Everything else is a fault.
import { Thrown } from "./kinds/arguments.mjs";
import { checkpoint } from "./kinds/checkpoint.mjs";
import { cli } from "./kinds/cli.mjs";
import { config } from "./kinds/config.mjs";
import { gguf } from "./kinds/gguf.mjs";
import { options } from "./kinds/options.mjs";
import { safetensors } from "./kinds/safetensors.mjs";
import { snapshot } from "./kinds/snapshot.mjs";
import { template } from "./kinds/template.mjs";
import { tokenizer } from "./kinds/tokenizer.mjs";
import { Random } from "./random.mjs";

const ALL = [gguf, safetensors, config, tokenizer, template, snapshot, checkpoint, options, cli];
export const KINDS = ALL.map(({ name }) => name);

/** The cases of one kind, made once and run one after another. */
export class Cases {
  #kind;
  #state;
  #seed;
  #library;

  /** @param more `shared: false`: no files from beside the checkout; `threads: false`: no engine in a thread */
  static async of(name, library, seed, more = {}) {
    const cases = new Cases();
    cases.#kind = ALL.find((kind) => kind.name === name);
    if (!cases.#kind) throw new Error(`There is no kind "${name}"; there are ${KINDS.join(", ")}.`);
    cases.#library = library;
    cases.#seed = seed;
    cases.#state = await cases.#kind.prepare(library, more);
    return cases;
  }

  /** @returns undefined, or the fault: { kind, index, what, message, at } */
  async run(index) {
    const { name } = this.#kind;
    const random = new Random(this.#seed, name, index);
    const ends = { well: 0, refused: 0 };
    const judge = async (call, work, { mustDo = false } = {}) => {
      try {
        const result = await work();
        ends.well += 1;
        return result;
      } catch (error) {
        if (mustDo || !this.#isTyped(error)) throw inCall(call, error);
        ends.refused += 1;
        return undefined;
      }
    };
    try {
      const end = await this.#kind.run(this.#state, random, judge);
      return { fault: undefined, refused: end === "refused" || ends.refused > 0 };
    } catch (error) {
      if (this.#isTyped(error) && error.call === undefined) return { fault: undefined, refused: true };
      return { fault: { kind: name, index, ...describe(error) }, refused: false };
    }
  }

  async end() {
    await this.#kind.end?.(this.#state);
  }

  #isTyped(error) {
    if (error instanceof Thrown || String(error?.message).includes("thrown by an argument")) return true;
    return error instanceof this.#library.SluiceError && error.code !== "internal";
  }
}

function inCall(call, error) {
  if (typeof error !== "object" || error === null)
    return Object.assign(new Error(`${String(error)} was thrown`), { call });
  try {
    error.call = call;
  } catch {
    // A frozen error keeps its own words.
  }
  return error;
}

/** What happened in words, and the first place in Sluice's code, by which faults are counted as one. */
export function describe(error) {
  const isError = error instanceof Error;
  const cause = isError && error.cause instanceof Error ? error.cause : undefined;
  const name = isError ? (error.constructor?.name ?? error.name) : typeof error;
  const message = `${error?.call ? `${error.call}: ` : ""}${isError ? error.message : String(error)}${cause ? ` (${cause.message})` : ""}`;
  return { what: name, message: message.slice(0, 300), at: placeOf(cause?.stack ?? (isError ? error.stack : "")) };
}

function placeOf(stack = "") {
  const lines = String(stack)
    .split("\n")
    .filter((line) => /^\s+at /.test(line));
  const own = lines.find((line) => /(\/dist\/|\/src\/)/.test(line) && !/node_modules|scripts\/fuzz/.test(line));
  return (own ?? lines[0] ?? "nowhere")
    .trim()
    .replace(/file:\/\/\S*?\/(dist|src)\//, "")
    .slice(0, 160);
}

/** The faults of cases 0 to count - 1, for tests. */
export async function faultsOf(name, library, { count, seed, ...more }) {
  const cases = await Cases.of(name, library, seed, more);
  const faults = [];
  let refused = 0;
  try {
    for (let index = 0; index < count; index++) {
      const result = await cases.run(index);
      if (result.fault) faults.push(result.fault);
      if (result.refused) refused += 1;
    }
  } finally {
    await cases.end();
  }
  return { faults, refused };
}
