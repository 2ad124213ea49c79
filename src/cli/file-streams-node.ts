/**
 * Paths that are no files but lead to a reader: pipes, devices, and the process's own descriptors (/dev/stdout, /dev/fd/N).
 * What goes there is written, not put in the place of something.
 */
import { constants, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { systemCode } from "../platform/file-node.js";
import { writeTarget } from "../platform/file-writer-node.js";
import { orWriteError } from "../platform/write-error-node.js";

const DESCRIPTORS: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };
const DESCRIPTOR = /^\/(?:dev|proc\/self)\/fd\/(\d{1,9})$/;

/** A pipe without a reader is waited for so long. */
const READER_MS = 10_000;
const READER_POLL_MS = 50;

/** @throws WriteError for a path that leads nowhere */
export async function isStream(path: string): Promise<boolean> {
  if (descriptorOf(path) !== undefined) return true;
  const { found } = await orWriteError(path, "written", () => writeTarget(path));
  return found !== undefined && !found.isFile() && !found.isDirectory();
}

/** @throws WriteError */
export async function writeStream(path: string, bytes: Uint8Array): Promise<void> {
  await orWriteError(path, "written", async () => {
    const descriptor = descriptorOf(path);
    if (descriptor === 1) return writeTo(process.stdout, bytes);
    if (descriptor === 2) return writeTo(process.stderr, bytes);
    // By its number: a second opening of a file would begin at its start.
    if (descriptor !== undefined) return writeFileSync(descriptor, bytes);
    const handle = await openForWriting(path);
    try {
      await handle.writeFile(bytes);
    } finally {
      await handle.close();
    }
  });
}

function descriptorOf(path: string): number | undefined {
  const number = DESCRIPTOR.exec(path)?.[1];
  return number === undefined ? DESCRIPTORS[path] : Number(number);
}

function writeTo(stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** Opening a pipe without a reader would block a thread, and the end of the process with it. */
async function openForWriting(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_NONBLOCK } = constants;
  const waitingSince = performance.now();
  for (;;) {
    try {
      // While it is open there is a writer, and the reader stays.
      const probe = await open(path, O_WRONLY | (O_NONBLOCK ?? 0));
      try {
        return await open(path, O_WRONLY);
      } finally {
        await probe.close();
      }
    } catch (error) {
      if (systemCode(error) !== "ENXIO" || performance.now() - waitingSince > READER_MS) throw error;
      await setTimeout(READER_POLL_MS);
    }
  }
}
