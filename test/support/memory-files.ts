/** Files in memory in place of a platform's, which counts what is open and what was read. */
import { FormatError, NotFoundError } from "../../src/util/errors.js";
import type { ByteSource, Hub, Platform } from "../../src/util/platform.js";

export class MemoryFiles implements Pick<Platform, "open" | "list"> {
  readonly contents = new Map<string, Uint8Array>();
  /** Sources that were opened and not closed. */
  openCount = 0;
  bytesRead = 0;
  readonly hub?: Hub;

  /** Paths with "/" to bytes or texts. */
  constructor(contents: Readonly<Record<string, Uint8Array | string>> = {}, hub?: Hub) {
    for (const [path, content] of Object.entries(contents)) {
      this.contents.set(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    }
    if (hub) this.hub = hub;
  }

  async open(location: string): Promise<ByteSource> {
    const bytes = this.contents.get(location);
    if (!bytes) throw new NotFoundError(`There is no file ${location}.`);
    this.openCount += 1;
    let closed = false;
    return {
      name: location,
      size: bytes.length,
      read: async (offset, into) => {
        if (closed) throw new Error(`${location} is closed`);
        if (offset + into.length > bytes.length) throw new FormatError(`${location} ends at ${bytes.length}.`);
        into.set(bytes.subarray(offset, offset + into.length));
        this.bytesRead += into.length;
      },
      close: async () => {
        if (!closed) this.openCount -= 1;
        closed = true;
      },
    };
  }

  async list(location: string): Promise<readonly string[] | "file" | undefined> {
    if (this.contents.has(location)) return "file";
    const folder = `${location.replace(/\/$/, "")}/`;
    const inner = [...this.contents.keys()].filter((path) => path.startsWith(folder));
    if (inner.length === 0) return undefined;
    return [...new Set(inner.map((path) => path.slice(folder.length).split("/")[0]))];
  }
}
