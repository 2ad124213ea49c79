/** What a name that is not known was probably meant to be. */

/** Names that other runtimes have for the same, in small letters without marks between, by our own name. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  maxTokens: [
    ...["maxnewtokens", "newtokens", "numtokens", "ntokens", "maxcompletiontokens", "maxoutputtokens"],
    ...["maxgeneratedtokens", "maxgentokens", "maxtokenstosample", "maxlength", "maxlen"],
    ...["npredict", "numpredict", "tokenspredict"],
  ],
  temperature: ["temp"],
  repetitionPenalty: ["repeatpenalty", "penaltyrepeat", "reppenalty", "reppen"],
  presencePenalty: ["penaltypresent", "presentpenalty"],
  frequencyPenalty: ["penaltyfreq", "freqpenalty"],
  penaltyWindow: ["repeatlastn", "penaltylastn", "lastn", "lasttokens", "repeatwindow"],
  seed: ["randomseed", "rngseed", "samplingseed"],
  stop: [
    ...["stopsequences", "stopsequence", "stopstrings", "stopstring", "stopwords", "stopword"],
    ...["stoptexts", "stoptriggers", "customstoptriggers", "antiprompt", "reverseprompt"],
  ],
  ignoreEnd: ["ignoreeos", "ignoreeostoken"],
  signal: ["abortsignal", "abort", "abortcontroller", "stopsignal", "cancel", "cancelsignal", "cancellation"],
  logprobs: ["toplogprobs", "numlogprobs", "nprobs", "topprobs"],
  logitBias: ["tokenbias", "bias"],
  onPrefill: ["onprogress", "onpromptprogress", "onevaluationprogress", "promptprogress"],
  onProgress: ["progresscallback", "initprogresscallback", "onloadprogress", "ondownloadprogress"],
  contextLength: [
    ...["nctx", "numctx", "ctx", "ctxsize", "ctxlen", "ctxlength", "ctxwindow", "contextsize", "contextwindow"],
    ...["contextwindowsize", "contextlen", "maxcontext", "maxcontextlength", "maxcontextsize", "maxcontextwindow"],
    ...["maxlength", "maxlen", "maxseqlen", "maxseqlength", "maxsequencelength", "seqlen", "maxmodellen"],
    ...["maxpositionembeddings", "maxtokens"],
  ],
  context: ["policy", "contextpolicy"],
  kv: ["cachetype", "kvtype", "kvcachetype", "cachetypek", "cachetypev", "typek", "typev", "cachedtype", "kvdtype"],
  chunk: ["batchsize", "nbatch", "numbatch", "ubatch", "nubatch", "prefillchunk", "prefillchunksize", "chunksize"],
  batch: ["batchsize", "nbatch", "numbatch"],
  threads: ["nthreads", "numthreads", "numthread", "nthread", "maxthreads", "threadcount", "workers", "cores"],
  thread: ["worker", "useworker", "inworker"],
  backend: ["device", "executionprovider"],
  memoryLimitBytes: ["memorylimit", "maxmemory", "memorybytes"],
  store: ["usebrowsercache", "usecache", "cache", "cachemodel"],
  addSpecial: ["addspecialtokens", "addbos", "addbostoken"],
  parseSpecial: ["specialtokens"],
  special: ["skipspecialtokens", "specialtokens"],
};

/** @returns the known name that is nearest; undefined when none is near */
export function nearName(name: string, known: readonly string[]): string | undefined {
  const plain = plainOf(name);
  const exact = known.find((own) => plainOf(own) === plain);
  const same = exact ?? known.find((own) => Object.hasOwn(OTHERS, own) && OTHERS[own].includes(plain));
  if (same !== undefined) return same;
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
