/** The registry of options that policies may take, `name=value`: adding one is adding an entry here. */
import { pageReading } from "./page-reading.js";
import { oneOf, type ValueForm, wholeNumber } from "./policy-values.js";

interface PolicyOption<V> {
  readonly value: ValueForm<V>;
  readonly help: string;
}

export const POLICY_OPTIONS = {
  evict: {
    value: wholeNumber(1),
    help: "evict=M           with recent: free M tokens at a time instead of one by one",
  },
  distance: {
    value: oneOf("text", "cache"),
    help: "distance=text     with a window: count distances as in the text, not as in the cache",
  },
  seed: {
    value: wholeNumber(0),
    help: "seed=N            with bigbird: other blocks are drawn (default 0)",
  },
  read: {
    value: pageReading,
    help: "read=quest:N      with what keeps more than N tokens: keep it all, but read only N of it for each that is written",
  },
  dense: {
    value: wholeNumber(0),
    help: "dense=L           with read: the first L layers read everything (default 2)",
  },
} satisfies Readonly<Record<string, PolicyOption<unknown>>>;

export type OptionName = keyof typeof POLICY_OPTIONS;

type Value<O> = O extends PolicyOption<infer V> ? V : never;

/** The options of a policy's text; undefined: not given. */
export type PolicyOptions = { readonly [N in OptionName]?: Value<(typeof POLICY_OPTIONS)[N]> | undefined };
