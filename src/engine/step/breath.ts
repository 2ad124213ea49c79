/** Lets cancel messages, signals and timers through while work goes on, if they have waited for a while. */
import { platform } from "../../util/platform.js";

/** Events wait at most about this long, plus one step. */
const BREATH_MS = 10;

export class Breath {
  private last = 0;

  async take(): Promise<void> {
    const now = performance.now();
    if (now - this.last < BREATH_MS) return;
    await platform().yieldToEvents();
    this.last = performance.now();
  }
}
