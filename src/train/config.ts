/**
 * The configuration of a training run: JSON that says model, tokenizer, data, stages and optimizer. Everything but the model
 * and the stages has a default; unknown keys are errors, so that a misspelt one is never ignored.
 */
import { z } from "zod";
import { ArgumentError } from "../util/errors.js";

const positive = z.number().positive().finite();
const count = z.number().int().positive();
const share = z.number().min(0).max(1);
const beta = z.number().min(0).lt(1);
/** No run has longer samples or larger steps; what memory allows is less. */
const tokens = count.max(2 ** 28);

/** Keys of GGUF's metadata without the architecture in front: `embedding_length`, `attention.head_count`, ... */
const keys = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.number())]));

const model = z.strictObject({
  architecture: z.string().default("llama"),
  keys,
  /** Whether the head is the embedding. */
  tied: z.boolean().default(true),
  /** Zero sink (SoftMax1): a logit of 0 joins every softmax; `learned`: one that is trained for each head. */
  sinks: z.enum(["none", "zero", "learned"]).default("none"),
  /** A pattern for the names of optional tensors that the model has beside those that its architecture usually has. */
  tensors: z
    .string()
    .default("")
    .check((context) => {
      const message = patternError(context.value);
      if (message !== undefined) context.issues.push({ code: "custom", message, input: context.value });
    }),
  /**
   * Weight in the loss of how evenly the experts of a layer share its tokens (Switch, 2101.03961); models without experts
   * ignore it. Losses are told without it.
   */
  balance: z.number().min(0).default(0.01),
});

const tokenizer = z.union(
  [
    /** Byte pairs of the texts, 256 bytes and special tokens included; none are merged where there are no texts. */
    z.strictObject({ vocabularySize: z.number().int().min(258).max(65536) }),
    /** A tokenizer.json; the token that ends a text is otherwise the one that tokenizer_config.json beside it names. */
    z.strictObject({ file: z.string().min(1), endToken: z.string().min(1).optional() }),
  ],
  {
    error:
      'expected {"vocabularySize": N} with N from 258 to 65536, or {"file": "tokenizer.json"}, perhaps with "endToken"',
  },
);

/** Those in which all that counts weighs alike. */
const WITHOUT_ANSWERS: readonly string[] = ["text", "cycle", "copy"];

const source = z
  .strictObject({
    source: z.enum(["text", "passkey", "pairs", "lines", "repeat", "cycle", "copy"]),
    /** Of the tokens; shares are divided by their sum. */
    share: positive,
    /** Weight of the answers' tokens in the loss, where those of the text weigh 1. */
    answerWeight: positive.optional(),
  })
  .refine(({ source, answerWeight }) => answerWeight === undefined || !WITHOUT_ANSWERS.includes(source), {
    path: ["answerWeight"],
    error: `means nothing to ${WITHOUT_ANSWERS.join(", ")}: there, all that counts weighs 1`,
  });

const schedule = z.enum(["constant", "cosine", "wsd"]);

const stage = z.strictObject({
  name: z.string().min(1),
  /** Tokens that the stage reads. */
  tokens: count,
  contextLength: tokens,
  /** Tokens of one optimizer step; what does not fit in one pass is accumulated. */
  batchTokens: tokens,
  /** Tokens of one pass forward and back; bounds the memory. */
  microBatchTokens: tokens.optional(),
  /** What a query sees: `full`, `recent:N`, `sinks:S,recent:N`, `shifted:N`, `bigbird:N,seed=M`. */
  attention: z.string().default("full"),
  /** Metadata that changes from here on, such as `rope.freq_base` or `rope.scaling.type`. */
  keys: keys.default({}),
  rate: positive.optional(),
  finalRate: z.number().min(0).optional(),
  warmupSteps: z.number().int().min(0).optional(),
  schedule: schedule.optional(),
  /** Of wsd: the part of the steps in which the rate falls. */
  decayShare: share.optional(),
  mixture: z.array(source).min(1).optional(),
});

const optimizer = z.strictObject({
  /** The learning rate at its highest. */
  rate: positive.default(3e-3),
  /** The rate at the end, as a part of the highest. */
  finalRate: z.number().min(0).default(0.1),
  warmupSteps: z.number().int().min(0).default(100),
  schedule: schedule.default("cosine"),
  decayShare: share.default(0.3),
  beta1: beta.default(0.9),
  beta2: beta.default(0.95),
  epsilon: positive.default(1e-8),
  /** Decoupled weight decay of matrices. */
  decay: z.number().min(0).default(0.1),
  /** Largest norm of all gradients together. */
  clip: positive.default(1),
});

/** The shape of a configuration, with its defaults. */
export const schema = z.strictObject({
  /** Names files of the run. */
  name: z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{N}_. -]*$/u, "expected letters, digits, and _ . - or spaces between"),
  seed: z.number().int().min(0).default(1),
  model,
  tokenizer,
  /** A token of its own in front of every sample: a learnable sink (StreamingLLM, 2309.17453). */
  sinkToken: z.boolean().default(false),
  data: z
    .strictObject({
      paths: z.array(z.string().min(1)).default([]),
      /** Files whose path contains one of these are for evaluation alone. */
      heldOut: z.array(z.string().min(1)).default([]),
      mixture: z
        .array(source)
        .min(1)
        .default([{ source: "text", share: 1 }]),
    })
    .prefault({}),
  stages: z.array(stage).min(1),
  optimizer: optimizer.prefault({}),
  evaluation: z.strictObject({ everySteps: count.default(200), windows: count.default(16) }).prefault({}),
  checkpoints: z.strictObject({ everySteps: count.default(200), keep: count.default(2) }).prefault({}),
  /** Keep the inputs of layers only, and compute the rest anew for the derivatives. */
  activationCheckpointing: z.boolean().default(false),
});

export type TrainingConfig = z.infer<typeof schema>;
export type ModelConfig = TrainingConfig["model"];
export type StageConfig = TrainingConfig["stages"][number];
export type SourceConfig = TrainingConfig["data"]["mixture"][number];
export type OptimizerConfig = TrainingConfig["optimizer"];

function patternError(text: string): string | undefined {
  try {
    new RegExp(text);
    return undefined;
  } catch (error) {
    return `expected a regular expression; ${error instanceof Error ? error.message : error}`;
  }
}

/** The pattern of `tensors`; undefined where none is asked for. @throws ArgumentError */
export function tensorPattern({ tensors }: ModelConfig): RegExp | undefined {
  if (tensors === "") return undefined;
  const wrong = patternError(tensors);
  if (wrong !== undefined) throw new ArgumentError(`model.tensors: ${wrong}.`, { tensors });
  return new RegExp(tensors);
}

/** Words for the commonest mistakes; others keep zod's. */
function explained(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "unrecognized_keys") return `unknown: ${issue.keys.join(", ")}`;
  if (issue.code === "invalid_type" && issue.input === undefined) return `missing, expected ${issue.expected}`;
  if (issue.code === "invalid_value")
    return `expected ${issue.values.join(", ")}; found ${JSON.stringify(issue.input)}`;
  return undefined;
}

/** "stages[0].attention: ", or nothing for the whole. */
function placeOf(path: readonly PropertyKey[]): string {
  const place = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return place === "" ? "" : `${place.replace(/^\./, "")}: `;
}

/** @throws ArgumentError that names each wrong place */
export function parseConfig(json: unknown, origin: string): TrainingConfig {
  const result = schema.safeParse(json, { error: explained });
  if (!result.success) {
    const wrong = result.error.issues.map(({ path, message }) => `\n${placeOf(path)}${message}`);
    throw new ArgumentError(`${origin} is no training configuration:${wrong.join("")}`, { file: origin });
  }
  for (const { contextLength, batchTokens, microBatchTokens = batchTokens, name } of result.data.stages) {
    const fits = contextLength <= microBatchTokens && microBatchTokens <= batchTokens;
    if (fits && microBatchTokens % contextLength === 0 && batchTokens % microBatchTokens === 0) continue;
    throw new ArgumentError(
      `${origin}: stage "${name}" needs batchTokens that are a multiple of microBatchTokens, and those of contextLength; ` +
        `found ${batchTokens}, ${microBatchTokens} and ${contextLength}.`,
      { file: origin, stage: name },
    );
  }
  return result.data;
}
