/** Lines that come through a pipe, one at a time, as they arrive. */
import type { Input, Interrupts, LineEvent, LineSource } from "./io.js";
import { decodeUtf8 } from "./utf8.js";

const NEWLINE = 10;

export class PipedLines implements LineSource {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private rest = new Uint8Array(0);
  private ended = false;

  constructor(
    input: Input,
    private readonly interrupts: Interrupts,
  ) {
    this.chunks = input[Symbol.asyncIterator]();
  }

  /** The prompt is not shown. @throws SluiceError for a line that is not UTF-8 */
  async next(): Promise<LineEvent> {
    let stop = () => {};
    const interrupted = new Promise<LineEvent>((resolve) => {
      stop = this.interrupts.listen(() => resolve({ kind: "interrupt", empty: true }));
    });
    try {
      return await Promise.race([this.line(), interrupted]);
    } finally {
      stop();
    }
  }

  close(): void {
    this.ended = true;
  }

  private async line(): Promise<LineEvent> {
    let searched = 0;
    for (;;) {
      const end = this.rest.indexOf(NEWLINE, searched);
      if (end !== -1) return this.take(end, end + 1);
      if (this.ended) return this.rest.length > 0 ? this.take(this.rest.length, this.rest.length) : { kind: "end" };
      searched = this.rest.length;
      const next = await this.chunks.next();
      if (next.done) this.ended = true;
      else this.rest = joined(this.rest, next.value);
    }
  }

  private take(end: number, next: number): LineEvent {
    const text = decodeUtf8(this.rest.subarray(0, end), "Standard input");
    this.rest = this.rest.slice(next);
    return { kind: "line", text: text.replace(/\r$/, "") };
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
