/**
 * Passkey retrieval, run: one session of a policy answers trial after trial, greedily, from a prompt of ids. How often it is
 * right, in all and by depth.
 */
import type { GenerateOptions, Session } from "../../engine/api.js";
import { isPasskey, type PasskeyPrompt, type PasskeyTrial } from "./passkey.js";

export interface PasskeyOutcome {
  readonly depth: number;
  readonly passkey: string;
  readonly generated: string;
  readonly correct: boolean;
  /** How many of the newest tokens the session could recall when it had answered; null = all. */
  readonly horizon: number | null;
  /** Tokens that it held then. */
  readonly kept: number;
}

export interface PasskeyQuestion {
  readonly trial: PasskeyTrial;
  readonly prompt: PasskeyPrompt;
}

/** One outcome for each question, in order; a cancelled run ends with those that were answered. */
export async function* answerPasskeys(
  session: Session,
  questions: Iterable<PasskeyQuestion>,
  signal?: AbortSignal,
): AsyncGenerator<PasskeyOutcome, void, undefined> {
  for (const { trial, prompt } of questions) {
    await session.reset();
    // One token more than the answer has: a right beginning of a longer number is no right answer.
    const options: GenerateOptions = {
      maxTokens: prompt.answerIds.length + 1,
      temperature: 0,
      ...(signal && { signal }),
    };
    let generated = "";
    for await (const { text, finish } of session.generate(prompt.ids, options)) {
      if (finish === "cancelled") return;
      generated += text;
    }
    const { horizon, kept } = session.usage;
    const { depth, passkey } = trial;
    yield { depth, passkey, generated, correct: isPasskey(generated, passkey), horizon, kept };
  }
}

/** How many of some trials were answered rightly. */
export interface Accuracy {
  readonly correct: number;
  readonly trials: number;
}

export function accuracyOf(outcomes: readonly PasskeyOutcome[]): Accuracy {
  return { correct: outcomes.filter(({ correct }) => correct).length, trials: outcomes.length };
}

/** Of equal parts of the depths from 0 to 1, the last with 1 itself. */
export function accuracyByDepth(outcomes: readonly PasskeyOutcome[], parts: number): Accuracy[] {
  const partOf = ({ depth }: PasskeyOutcome) => Math.min(parts - 1, Math.floor(depth * parts));
  return Array.from({ length: parts }, (_, part) => accuracyOf(outcomes.filter((outcome) => partOf(outcome) === part)));
}
