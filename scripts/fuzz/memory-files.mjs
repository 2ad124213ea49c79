// Node's platform with files in memory, which tells what was left open.

/** What the library is told: half of what a case may take, so that it refuses what asks for more. */
const AVAILABLE_BYTES = 2 ** 29;

export class MemoryFiles {
  constructor(library) {
    this.library = library;
    this.contents = new Map();
    this.open = 0;
  }

  /** @param contents bytes by path; in place of what was there */
  set(contents) {
    this.contents = new Map(Object.entries(contents));
    this.open = 0;
    return this;
  }

  /** Makes these the files that the library sees. */
  install() {
    const { library } = this;
    library.setPlatform({
      ...library.nodePlatform,
      cores: 1,
      availableMemoryBytes: () => AVAILABLE_BYTES,
      compileWide: undefined,
      // Nothing leaves the machine, whatever a reference says.
      hub: undefined,
      absolute: undefined,
      open: (path) => this.source(path),
      list: async (path) => this.list(path),
      writer: this.writer(),
    });
  }

  writer() {
    return {
      writeFile: async (path, chunks) => {
        const parts = [];
        for await (const chunk of chunks) parts.push(chunk.slice());
        this.contents.set(path, Uint8Array.from(Buffer.concat(parts)));
      },
      append: async (path, bytes) => {
        this.contents.set(path, Uint8Array.from(Buffer.concat([this.contents.get(path) ?? new Uint8Array(0), bytes])));
      },
      makeFolder: async () => {},
      rename: async () => {},
      remove: async (path) => {
        this.contents.delete(path);
      },
    };
  }

  async source(path) {
    const bytes = this.contents.get(path);
    const { FormatError, NotFoundError } = this.library;
    if (!bytes) throw new NotFoundError(`There is no file ${path}.`);
    this.open += 1;
    let closed = false;
    return {
      name: path,
      size: bytes.length,
      read: async (offset, into) => {
        if (closed) throw new Error(`${path} was read after it was closed`);
        if (!Number.isSafeInteger(offset) || offset < 0 || offset + into.length > bytes.length) {
          throw new FormatError(`${path} ends at ${bytes.length}.`);
        }
        into.set(bytes.subarray(offset, offset + into.length));
      },
      close: async () => {
        if (!closed) this.open -= 1;
        closed = true;
      },
    };
  }

  list(path) {
    if (this.contents.has(path)) return "file";
    const folder = `${path.replace(/\/$/, "")}/`;
    const inner = [...this.contents.keys()].filter((name) => name.startsWith(folder));
    if (inner.length === 0) return undefined;
    return [...new Set(inner.map((name) => name.slice(folder.length).split("/")[0]))].sort();
  }

  /** @throws where a file was not closed */
  checkClosed() {
    if (this.open !== 0) throw new Error(`${this.open} files were left open`);
  }
}
