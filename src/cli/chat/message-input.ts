/** Messages of several lines: a backslash at the end of a line goes on, """ opens and closes a block. */

const BLOCK = '"""';

export class MessageInput {
  private lines: string[] = [];
  private inBlock = false;

  /** Whether a message has been begun and not ended. */
  get open(): boolean {
    return this.inBlock || this.lines.length > 0;
  }

  /** Takes the next line; returns the message when it is whole. */
  push(line: string): string | undefined {
    if (this.inBlock) return this.pushToBlock(line);
    if (this.lines.length === 0 && line.trimStart().startsWith(BLOCK)) {
      this.inBlock = true;
      const rest = line.trimStart().slice(BLOCK.length);
      return rest === "" ? undefined : this.pushToBlock(rest);
    }
    if (line.endsWith("\\")) {
      this.lines.push(line.slice(0, -1));
      return undefined;
    }
    this.lines.push(line);
    return this.take();
  }

  /** At the end of the input: what was begun, or undefined. */
  end(): string | undefined {
    return this.open ? this.take() : undefined;
  }

  /** Forgets what was begun. */
  cancel(): void {
    this.take();
  }

  private pushToBlock(line: string): string | undefined {
    if (!line.trimEnd().endsWith(BLOCK)) {
      this.lines.push(line);
      return undefined;
    }
    const last = line.trimEnd().slice(0, -BLOCK.length);
    if (last !== "") this.lines.push(last);
    return this.take();
  }

  private take(): string {
    const message = this.lines.join("\n");
    this.lines = [];
    this.inBlock = false;
    return message;
  }
}
