// Command lines and standard input: options in any order and number, values of any kind, texts that are no UTF-8, commands of
// the chat. A command ends with its exit code, and what it says of a failure is no bug of Sluice's.
import { ggufBytes } from "../gguf-file.mjs";
import { NUMBERS, TEXTS } from "../hostile-values.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { mutateBytes } from "../mutate.mjs";
import { smallModels } from "../small-models.mjs";

const SHARED = [
  "--context",
  "--kv",
  "--context-length",
  "--threads",
  "--memory-limit",
  "--wasm-memory",
  "--precise",
  "--backend",
];
const SAMPLING = [
  "--max-tokens",
  "--temperature",
  "--top-k",
  "--top-p",
  "--min-p",
  "--repetition-penalty",
  "--presence-penalty",
  "--frequency-penalty",
  "--penalty-window",
  "--logit-bias",
  "--seed",
  "--stop",
  "--ignore-end",
];
const COMMANDS = {
  run: [
    ...SHARED,
    ...SAMPLING,
    "--prompt",
    "--file",
    "--source",
    "--resume",
    "--save",
    "--logprobs",
    "--json",
    "--stats",
  ],
  chat: [...SHARED, ...SAMPLING, "--system", "--quiet"],
  stream: [...SHARED, "--file", "--max-tokens", "--batch", "--json", "--plot", "--quiet"],
  tokenize: ["--file", "--decode", "--no-special", "--json"],
  inspect: ["--context", "--kv", "--context-length", "--json", "--tensors"],
  eval: [...SHARED, "--lengths", "--depths", "--samples", "--json", "--quiet"],
};
const SWITCHES = new Set(["--precise", "--ignore-end", "--stats", "--quiet", "--no-special", "--tensors"]);
/** A right value, by option. */
const RIGHT = {
  "--context": ["full", "recent:8", "sinks:2,recent:6", "recompute:8"],
  "--kv": ["f32", "q8/f16"],
  "--file": ["a.txt", "-", "absent.txt"],
  "--save": ["s.session"],
  "--resume": ["s.session", "a.txt"],
  "--logit-bias": ["5=3", "5=-inf"],
  "--memory-limit": ["1GB", "512MiB"],
  "--wasm-memory": ["16MiB"],
  "--backend": ["reference"],
  "--prompt": ["the cat", ""],
  "--json": ["-", "out.json"],
  "--plot": ["out.svg"],
  "--decode": ["1 2", "5"],
};
const LINES = [
  "hi",
  "",
  "/help",
  "/save t.json",
  "/load t.json",
  "/load a.txt",
  "/undo",
  "/retry",
  "/system x",
  "/usage",
  "/exit",
  "/unheard",
  "/",
  "\u0000",
  "a".repeat(500),
];
const MOST_WRITES = 60;

export const cli = {
  name: "cli",

  async prepare(library) {
    const [model] = smallModels(library, /^llama$/);
    return { library, files: new MemoryFiles(library), model: ggufBytes(model) };
  },

  async run({ library, files, model }, random) {
    files.set({ "m.gguf": model }).install();
    const io = memoryIo(library, random);
    const code = await library.runCli(commandLine(random), io);
    if (![0, 1, 2, 130].includes(code)) throw new Error(`the exit code is ${code}`);
    const said = io.said.join("");
    const wrong = /This is a bug in Sluice|SLUICE_DEBUG=1|^ {4}at /m.exec(said);
    if (wrong) throw new Error(`standard error says: ${said.slice(Math.max(0, wrong.index - 250), wrong.index + 30)}`);
    files.checkClosed();
    return code === 0 ? undefined : "refused";
  },
};

function commandLine(random) {
  const command = random.pick(Object.keys(COMMANDS));
  const words = command === "eval" ? ["eval", "passkey"] : [command];
  if (random.chance(0.95)) words.push(random.chance(0.9) ? "m.gguf" : random.pick(TEXTS));
  if (command === "tokenize" && random.chance(0.6)) words.push(random.pick(TEXTS));
  const names = Object.values(COMMANDS).flat();
  for (let i = random.below(5); i > 0; i--) {
    const name = random.pick(random.chance(0.9) ? COMMANDS[command] : names);
    words.push(name);
    if (SWITCHES.has(name) || (name === "--json" && random.chance(0.5))) continue;
    words.push(
      random.chance(0.6)
        ? String(random.pick(RIGHT[name] ?? [1, 2, 3]))
        : String(random.pick(random.chance(0.5) ? NUMBERS : TEXTS)),
    );
  }
  if (/run|chat/.test(command) && random.chance(0.8)) words.push("--max-tokens", "3");
  if (command === "stream" || command === "eval") words.push("--context", "recent:8");
  if (random.chance(0.03)) words.push(random.pick(["--help", "--version", "--", "-", "--max_tokens", "-p"]));
  return words;
}

/** Standard input, files and the runtime: in memory and in place. */
function memoryIo(library, random) {
  const text = new TextEncoder().encode(random.times(3, () => random.pick(LINES)).join("\n"));
  const input = random.chance(0.2) ? mutateBytes(random, text) : text;
  const stored = new Map([
    ["a.txt", random.chance(0.3) ? mutateBytes(random, text) : text],
    ["s.session", text],
  ]);
  const said = [];
  const closed = new AbortController();
  const output = (into) => ({ isTTY: false, columns: 80, write: async (part) => void into.push(part) });
  // Like `| head`: what writes without end is left by its reader.
  let left = MOST_WRITES;
  const stdout = { ...output([]), write: async () => void (--left === 0 && closed.abort()) };
  return {
    said,
    stdin: {
      isTTY: false,
      async *[Symbol.asyncIterator]() {
        for (let at = 0; at < input.length; at += 7) yield input.subarray(at, at + 7);
      },
    },
    stdout,
    stderr: output(said),
    env: {},
    files: memoryFiles(library, stored),
    interrupts: { listen: () => () => {}, kill: () => {} },
    outputClosed: closed.signal,
    outputFailure: undefined,
    runtime: {
      ...library.nodeRuntime,
      cores: 1,
      load: (reference, options) =>
        library.load(reference, { ...options, thread: false, backend: "reference", threads: 1 }),
    },
    version: "0",
    now: () => performance.now(),
    openTerminal: () => {
      throw new Error("a terminal was asked for where there is none");
    },
  };
}

function memoryFiles(library, stored) {
  return {
    exists: async (path) => stored.has(path),
    read: async (path) => {
      const bytes = stored.get(path);
      if (!bytes) throw new library.NotFoundError(`There is no file ${path}.`);
      return bytes;
    },
    write: async (path, content) => {
      stored.set(path, typeof content === "string" ? new TextEncoder().encode(content) : content.slice());
    },
    isSame: async (one, other) => one === other,
    checkWritable: async () => {},
    rescue: async (path) => path,
  };
}
