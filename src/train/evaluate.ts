/** Measures a model on samples that it does not learn from. */
import type { Sample, SampleSource } from "./data/sample.js";
import type { TaskResult } from "./log.js";
import type { ModelPass } from "./pass.js";

export interface EvaluationOptions {
  readonly length: number;
  readonly windows: number;
  /** Samples of one pass. */
  readonly perPass: number;
  /** Called between passes; throws to stop. */
  readonly onPass?: (() => void | Promise<void>) | undefined;
}

/** A text, or a task, whose answers are the predictions that weigh most. */
export interface EvaluationSource {
  readonly source: SampleSource;
  readonly isTask: boolean;
  /** How many samples of a length there are. */
  samples(length: number): number;
}

/** Logits that exist at once; a sample of its own may have more. */
const MOST_LOGITS = 2 ** 26;

export async function evaluateSource(
  pass: ModelPass,
  { source, isTask, samples: available }: EvaluationSource,
  options: EvaluationOptions,
): Promise<TaskResult> {
  const { length } = options;
  const { vocabulary } = pass.decoder.spec;
  const perPass = isTask
    ? Math.max(1, Math.min(options.perPass, Math.floor(MOST_LOGITS / (length * vocabulary))))
    : options.perPass;
  const windows = Math.min(options.windows, available(length));
  const total = { loss: 0, count: 0, right: 0, asked: 0 };
  for (let start = 0; start < windows; start += perPass) {
    await options.onPass?.();
    const numbers = Array.from({ length: Math.min(perPass, windows - start) }, (_, i) => start + i);
    const samples = await Promise.all(numbers.map((n) => source.sample(n, length)));
    const asked = samples.map((sample) => (isTask ? answers(sample) : []));
    const { losses, predicted } = await pass.predict(samples, asked);
    losses.forEach((row, index) => {
      row.forEach((loss, t) => {
        if (samples[index].weights[t] === 0) return;
        total.loss += loss;
        total.count++;
      });
    });
    asked.forEach((rows, index) => {
      total.asked += rows.length;
      total.right += rows.filter((row, i) => predicted[index][i] === samples[index].ids[row + 1]).length;
    });
  }
  return {
    loss: total.count === 0 ? 0 : total.loss / total.count,
    accuracy: total.asked === 0 ? null : total.right / total.asked,
    tokens: total.count,
  };
}

/** Rows whose prediction weighs most. */
export function answers({ weights }: Sample): number[] {
  const most = weights.reduce((largest, weight) => Math.max(largest, weight), 0);
  return most === 0 ? [] : Array.from(weights.keys()).filter((row) => weights[row] === most);
}
