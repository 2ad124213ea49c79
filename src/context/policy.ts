/**
 * A context policy says for each layer which KV heads see and keep which tokens (head-sets.ts): functions from a query's
 * place to ranges of tokens. What no later query can see is freed. Policies are plain data with a short text form
 * (policy-text.ts).
 */
import type { ModelGates } from "./gates/index.js";
import { type HeadSets, oneHeadSet, type Retention } from "./head-sets.js";
import type { PageReading } from "./page-reading.js";
import type { OptionName, PolicyOptions } from "./policy-options.js";
import type { ItemValues, ValueForm } from "./policy-values.js";
import type { MessagesOfText, TextMessages } from "./text-messages.js";

/** What a policy says of itself; memory follows from its head sets alone. */
export interface PolicyFacts {
  /** The canonical text form; parsing it gives the same policy. */
  readonly text: string;
  /** One line for a person. */
  readonly summary: string;
  /** Read the last `budget` tokens from scratch for every token, instead of keeping a cache. */
  readonly recompute: boolean;
  /**
   * A prompt that does not fit by itself is an error, and where no token may be freed, writing ends at the limit like at
   * `maxTokens`. Absent: a prompt may push out its own beginning, or, where nothing is freed, the limit is an error.
   */
  readonly wholePrompts?: true;
  /** The gates that say which heads keep what; the digest is absent while the policy is for no model. */
  readonly gates?: { readonly name: string; readonly digest: string | undefined };
  /** How much of what is kept heads read where the model writes; absent: all. */
  readonly reading?: PageReading;
  /** First layers that read everything all the same; beside `reading`. */
  readonly dense?: number;
  /** Everything is kept, and a row reads so many blocks of so many tokens of it; absent: all, or what `reading` says. */
  readonly pattern?: { readonly block: number; readonly blocks: number };
}

export interface ContextPolicy extends PolicyFacts, HeadSets {
  /** Of the set that keeps most: undefined where one keeps all. For `recompute` it is the window that each step reads again. */
  readonly budget: number | undefined;
  /** Of the set that never evicts most. */
  readonly sinks: number;
  /** "cache" where any set counts so. */
  readonly distance: "text" | "cache";
  /**
   * Of a policy that keeps whole turns and messages: the head sets of one text, which ask where its messages lie. Absent: messages mean
   * nothing to it. Budget, sinks and head sets of the policy itself are those of a text without messages.
   */
  byMessages?(text: MessagesOfText): HeadSets;
}

/** A policy by which all heads of all layers keep the same. */
export function policyOf(retention: Retention, facts: PolicyFacts): ContextPolicy {
  const { budget, sinks, distance } = retention;
  return { ...facts, budget, sinks, distance, ...oneHeadSet(retention) };
}

/** The policy as it is for a text whose messages lie so. */
export function policyForMessages(policy: ContextPolicy, messages: TextMessages): ContextPolicy {
  const sets = policy.byMessages?.({ messages });
  const [first] = sets?.headSets(0, 1) ?? [];
  if (!sets || !first) return policy;
  const { budget, sinks } = first.retention;
  return { ...policy, budget, sinks, headSets: sets.headSets };
}

/** An entry of the registry: which items a policy's text has, and how it is made of them. */
export interface PolicyDefinition {
  /** In any order, each at most once: `full`, or `sinks` and `recent`. */
  readonly items: readonly PolicyItem[];
  readonly options: readonly OptionName[];
  /** Why options do not go with it that one might expect to. */
  readonly refuses?: { readonly [N in OptionName]?: string };
  readonly help: string;
  /** @throws ArgumentError (`wrongValue`) for values that do not go together */
  create(values: ItemValues, options: PolicyOptions, given: PolicyGiven): ContextPolicy;
}

export interface PolicyItem {
  readonly name: string;
  /** What stands after the colon; absent: nothing may. */
  readonly value?: ValueForm<number | string>;
  /** Its value where nothing stands there; absent: something must. */
  readonly bare?: number | string;
  /** Its value where the item is left out; absent: it must be there. */
  readonly absent?: number | string;
}

/** What a policy's text may refer to by name. */
export interface PolicyGiven {
  /**
   * Gates of attention heads by name, as the model has them; null: they are there, but not yet for a model. Absent: any name
   * will do, and a policy that needs gates can only be looked at.
   */
  readonly gates?: ReadonlyMap<string, ModelGates | null>;
}
