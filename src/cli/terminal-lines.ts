/**
 * A line editor with history on the terminal (node:readline). While it waits for a line, Ctrl-C clears the line; between
 * lines the terminal is handed back, so that Ctrl-C is an ordinary SIGINT, which stops the answer.
 */
import { createInterface, type Interface } from "node:readline";
import type { LineEvent, LineSource } from "./io.js";

/** What of a terminal's input is used. */
export interface TerminalInput extends NodeJS.ReadableStream {
  setRawMode(on: boolean): unknown;
}

export class TerminalLines implements LineSource {
  private readonly editor: Interface;
  /** Events that came while nobody asked: lines of a pasted text, the end. */
  private readonly queue: LineEvent[] = [];
  private waiting: ((event: LineEvent) => void) | undefined;
  private closed = false;

  constructor(
    private readonly input: TerminalInput,
    output: NodeJS.WritableStream,
  ) {
    this.editor = createInterface({ input, output, terminal: true, historySize: 1000 });
    this.editor.on("line", (text) => this.emit({ kind: "line", text }));
    this.editor.on("SIGINT", () => this.interrupt());
    this.editor.on("close", () => {
      this.closed = true;
      this.emit({ kind: "end" });
    });
    this.release();
  }

  next(prompt: string): Promise<LineEvent> {
    const queued = this.queue.shift();
    if (queued) return Promise.resolve(queued);
    if (this.closed) return Promise.resolve({ kind: "end" });
    this.input.setRawMode(true);
    this.editor.resume();
    this.editor.setPrompt(prompt);
    this.editor.prompt();
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  close(): void {
    if (!this.closed) this.editor.close();
  }

  private emit(event: LineEvent): void {
    const waiting = this.waiting;
    if (!waiting) {
      this.queue.push(event);
      return;
    }
    this.waiting = undefined;
    if (!this.closed) this.release();
    waiting(event);
  }

  private interrupt(): void {
    const empty = this.editor.line === "";
    // To the end of the line, then erase back to its start: the editor's own keys.
    this.editor.write(null, { ctrl: true, name: "e" });
    this.editor.write(null, { ctrl: true, name: "u" });
    this.emit({ kind: "interrupt", empty });
  }

  /** Gives the terminal back: no raw mode, no reading. */
  private release(): void {
    this.editor.pause();
    this.input.setRawMode(false);
  }
}
