/**
 * Keeps the blocks of remote files in the browser's private file system (OPFS), so that a model is fetched once. A folder
 * for each URL holds one for each version, with a file for each block: the block, then its SHA-256. A file is written as one
 * step, so pages that write the same block at once both leave it whole, and what was fetched before a reload stays.
 */
import { SluiceError } from "../util/errors.js";
import type { StoredFile } from "../util/platform.js";
import type { BlockStore } from "./block-source.js";
import type { KnownFile, RemoteFile } from "./remote-file.js";

const FOLDER = "sluice-models";
const ABOUT = "about.json";
const HASH_BYTES = 32;

type Folder = FileSystemDirectoryHandle;
type Note = (text: string) => void;

/** What ABOUT of a URL's folder says. */
interface About extends KnownFile {
  readonly url: string;
  readonly usedAt: number;
}

/** The store's place for one URL. */
export interface Shelf {
  /** The version that is kept; undefined when there is none. */
  readonly known: KnownFile | undefined;
  /** Where the blocks of `file` are; those of another version are removed. Undefined where none can be kept. */
  open(file: RemoteFile, note: Note): Promise<BlockStore | undefined>;
}

/** Undefined where the browser has no private file system, or does not let this page use it. */
export async function shelfFor(url: string): Promise<Shelf | undefined> {
  try {
    const root = await storeFolder();
    if (!root) return undefined;
    const about = await readAbout(root, await nameOf(url));
    return { known: about, open: (file, note) => openBlocks(root, file, note) };
  } catch {
    return undefined;
  }
}

async function storeFolder(): Promise<Folder | undefined> {
  const { storage } = globalThis.navigator ?? {};
  if (!storage?.getDirectory || !globalThis.crypto?.subtle) return undefined;
  // Safari before 26 can only write from workers, by other means.
  if (!("createWritable" in FileSystemFileHandle.prototype)) return undefined;
  return await (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

async function openBlocks(root: Folder, file: RemoteFile, note: Note): Promise<BlockStore | undefined> {
  const { url, size, version } = file;
  if (version === undefined) {
    note(`${url} is fetched at every visit: its server names no version of it (an ETag or Last-Modified header).`);
    return undefined;
  }
  try {
    const folder = await root.getDirectoryHandle(await nameOf(url), { create: true });
    const current = await nameOf(`${size} ${version}`);
    for await (const name of folder.keys()) {
      if (name !== ABOUT && name !== current) await folder.removeEntry(name, { recursive: true });
    }
    const blocks = await folder.getDirectoryHandle(current, { create: true });
    const about: About = { url, size, version, usedAt: Date.now() };
    await writeFile(folder, ABOUT, [new TextEncoder().encode(JSON.stringify(about))]);
    const isRoom = await hasRoom(file, await storedBytes(blocks), note);
    return new OpfsBlocks(blocks, url, isRoom ? note : undefined);
  } catch (error) {
    note(`${url} is fetched at every visit: the browser's storage cannot be used (${describe(error)}).`);
    return undefined;
  }
}

/** Whether the rest of the file fits into what the browser gives this origin. */
async function hasRoom({ url, size }: RemoteFile, stored: number, note: Note): Promise<boolean> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota === undefined || usage === undefined) return true;
  const free = Math.max(0, quota - usage);
  if (size - stored <= free) return true;
  note(
    `${url} is not stored: ${size - stored} more bytes are needed, and the browser gives this origin ${quota} bytes, ` +
      `${free} of which are free. It is fetched at every visit; deleteStored() makes room.`,
  );
  return false;
}

class OpfsBlocks implements BlockStore {
  private readonly folder: Folder;
  private readonly url: string;
  /** Undefined when nothing more is to be written. */
  private note: Note | undefined;

  constructor(folder: Folder, url: string, note: Note | undefined) {
    this.folder = folder;
    this.url = url;
    this.note = note;
  }

  async get(index: number, bytes: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    try {
      const file = await (await this.folder.getFileHandle(String(index))).getFile();
      const content = new Uint8Array(await file.arrayBuffer());
      const block = content.subarray(0, bytes);
      const hash = await sha256(block);
      const isWhole = content.length === bytes + HASH_BYTES && hash.every((byte, i) => byte === content[bytes + i]);
      return isWhole ? block : undefined;
    } catch {
      // Not there, or removed by another page: it comes from the server.
      return undefined;
    }
  }

  async put(index: number, block: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.note) return;
    try {
      await writeFile(this.folder, String(index), [block, await sha256(block)]);
    } catch (error) {
      this.note?.(
        `${this.url} is not stored as a whole, so the rest is fetched at every visit (${describe(error)}). ` +
          "deleteStored() makes room.",
      );
      this.note = undefined;
    }
  }
}

/** The files that are kept, of which those that were used last come first. */
export async function listStored(): Promise<StoredFile[]> {
  const root = await storeFolder();
  const files: StoredFile[] = [];
  for await (const name of root?.keys() ?? []) {
    const about = root && (await readAbout(root, name));
    if (!about) continue;
    const storedBytes = await bytesBelow(await root.getDirectoryHandle(name));
    files.push({ url: about.url, bytes: about.size, storedBytes, usedAt: new Date(about.usedAt) });
  }
  return files.sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
}

/**
 * Removes what is kept of a URL and of what lies below it, or all; returns how many files that were. A page that is reading
 * one goes on from the server. @throws SluiceError when the browser does not allow it
 */
export async function deleteStored(url?: string): Promise<number> {
  const root = await storeFolder();
  let removed = 0;
  for await (const name of root?.keys() ?? []) {
    const kept = root && (await readAbout(root, name));
    const isMeant = url === undefined || kept?.url === url || kept?.url.startsWith(`${url.replace(/\/$/, "")}/`);
    if (!isMeant) continue;
    try {
      await root?.removeEntry(name, { recursive: true });
    } catch (error) {
      const message = `What is stored of ${kept?.url ?? name} cannot be removed now (${describe(error)}). Close other pages that load it.`;
      throw new SluiceError("storage", message, { url: kept?.url ?? null }, { cause: error });
    }
    removed++;
  }
  return removed;
}

/** Undefined for what is not there or was not written whole. */
async function readAbout(root: Folder, name: string): Promise<About | undefined> {
  try {
    const folder = await root.getDirectoryHandle(name);
    const file = await (await folder.getFileHandle(ABOUT)).getFile();
    const about: unknown = JSON.parse(await file.text());
    return isAbout(about) ? about : undefined;
  } catch {
    return undefined;
  }
}

function isAbout(value: unknown): value is About {
  if (typeof value !== "object" || value === null) return false;
  if (!("url" in value && "size" in value && "version" in value && "usedAt" in value)) return false;
  return (
    [typeof value.url, typeof value.version].every((type) => type === "string") && Number.isSafeInteger(value.size)
  );
}

/** As one step: readers see the old content or the new one. */
async function writeFile(folder: Folder, name: string, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
  const writer = await (await folder.getFileHandle(name, { create: true })).createWritable();
  try {
    for (const piece of pieces) await writer.write(piece);
    await writer.close();
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
  }
}

async function bytesBelow(folder: Folder): Promise<number> {
  let bytes = 0;
  for await (const handle of folder.values()) if (isFolder(handle)) bytes += await storedBytes(handle);
  return bytes;
}

async function storedBytes(blocks: Folder): Promise<number> {
  let bytes = 0;
  for await (const handle of blocks.values()) {
    if (isFile(handle)) bytes += Math.max(0, (await handle.getFile()).size - HASH_BYTES);
  }
  return bytes;
}

function isFolder(handle: FileSystemHandle): handle is FileSystemDirectoryHandle {
  return handle.kind === "directory";
}

function isFile(handle: FileSystemHandle): handle is FileSystemFileHandle {
  return handle.kind === "file";
}

/** A file's name for any text. */
async function nameOf(text: string): Promise<string> {
  const hash = await sha256(new TextEncoder().encode(text));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
