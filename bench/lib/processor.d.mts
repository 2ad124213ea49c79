/** Types of processor.mjs, for its tests. */
export interface Processor {
  readonly name: string;
  readonly cores: number;
  readonly generation?: string;
  readonly features?: readonly string[];
  readonly lacks?: readonly string[];
}
export function processor(text?: string): Processor;
export function processorLine(processor: Processor): string;
