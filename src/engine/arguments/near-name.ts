/** What a name that is not known was probably meant to be. */

/** Names that other runtimes have for the same. */
const SAME: Readonly<Record<string, string>> = {
  maxnewtokens: "maxTokens",
  maxcompletiontokens: "maxTokens",
  maxoutputtokens: "maxTokens",
  maxlength: "maxTokens",
  npredict: "maxTokens",
  numpredict: "maxTokens",
  stopsequences: "stop",
  stopstrings: "stop",
  repeatpenalty: "repetitionPenalty",
  repeatlastn: "penaltyWindow",
  ignoreeos: "ignoreEnd",
  abortsignal: "signal",
  toplogprobs: "logprobs",
  nctx: "contextLength",
  numctx: "contextLength",
  contextsize: "contextLength",
  maxcontext: "contextLength",
  policy: "context",
  cachetype: "kv",
  batchsize: "batch",
  nthreads: "threads",
  numthreads: "threads",
  memorylimit: "memoryLimitBytes",
  addspecialtokens: "addSpecial",
  skipspecialtokens: "special",
};

/** @returns the known name that is nearest; undefined when none is near */
export function nearName(name: string, known: readonly string[]): string | undefined {
  const plain = plainOf(name);
  const same = Object.hasOwn(SAME, plain) ? SAME[plain] : undefined;
  if (same !== undefined && known.includes(same)) return same;
  const ranked = known
    .map((other) => ({ other, edits: edits(plain, plainOf(other)) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked.at(0);
  return best && best.edits <= Math.max(1, Math.floor(plain.length / 3)) ? best.other : undefined;
}

function plainOf(name: string): string {
  return name
    .slice(0, 64)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
}

/** Letters to put in, take out, change, or swap with the next, to make `a` into `b`. */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(changed, last[j] + 1, row[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}
