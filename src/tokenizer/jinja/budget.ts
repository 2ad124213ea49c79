/**
 * What a render may cost. Templates come from model files, so steps, sizes (of each value and of all together), nesting
 * and time are limited; the clock and the caller's `check` are asked every few hundred steps and inside long work.
 */
import { Fault, Interrupt } from "./fault.js";

export interface BudgetOptions {
  readonly mostSteps: number;
  /** Characters that all texts together may have, and each of them. */
  readonly mostCharacters: number;
  readonly longestText: number;
  /** Items that all lists together may have; a dict counts as several. */
  readonly mostItems: number;
  readonly mostMilliseconds: number;
  readonly check?: (() => void) | undefined;
}

/** Values inside values, and macros inside macros, stay clear of the end of JavaScript's stack. */
const DEEPEST = 600;
/** A step is as much work as so many characters. */
const WORK_OF_STEP = 512;
const WORK_BETWEEN_CHECKS = 1 << 18;

export class Budget {
  private readonly options: BudgetOptions;
  private readonly deadline: number;
  private steps = 0;
  private charactersMade = 0;
  private itemsMade = 0;
  private depth = 0;
  private workSinceCheck = 0;

  constructor(options: BudgetOptions) {
    this.options = options;
    this.deadline = performance.now() + options.mostMilliseconds;
  }

  step(): void {
    if (++this.steps > this.options.mostSteps) {
      throw new Fault("limit", `it takes more than ${this.options.mostSteps} steps; it may never end.`);
    }
    this.work(WORK_OF_STEP);
  }

  /** Looking at `amount` characters or items. */
  work(amount: number): void {
    this.workSinceCheck += amount;
    if (this.workSinceCheck >= WORK_BETWEEN_CHECKS) this.lookUp();
  }

  /** Call before a text of so many characters is made. */
  characters(count: number): void {
    this.charactersMade += count;
    const most = this.options.mostCharacters;
    if (count > this.options.longestText || this.charactersMade > most) {
      throw new Fault("limit", `it makes a text that is too large, or too many (${most} characters altogether).`);
    }
    this.work(count);
  }

  /** Call before so many items are added to a list. */
  items(count: number): void {
    this.itemsMade += count;
    const most = this.options.mostItems;
    if (!(this.itemsMade <= most)) {
      throw new Fault("limit", `it makes a list that is too large, or too many (${most} items altogether).`);
    }
    this.work(count * 8);
  }

  /** A text that was made: counted, and given back. */
  text(made: string): string {
    this.characters(made.length);
    return made;
  }

  enter(): void {
    if (++this.depth > DEEPEST) throw new Fault("unsupported", `it nests more than ${DEEPEST} deep.`);
  }

  leave(): void {
    this.depth--;
  }

  private lookUp(): void {
    this.workSinceCheck = 0;
    if (performance.now() > this.deadline) {
      throw new Fault(
        "limit",
        `it takes more than ${Math.ceil(this.options.mostMilliseconds) / 1000} seconds; it may never end.`,
      );
    }
    try {
      this.options.check?.();
    } catch (reason) {
      throw new Interrupt(reason);
    }
  }
}
