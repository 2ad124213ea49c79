/** The files that commands read and write. */
export interface FileWriteOptions {
  /** A new file is for its owner alone (mode 0600); one that is there keeps its mode. */
  readonly secret?: boolean;
}

export interface Files {
  exists(path: string): Promise<boolean>;
  /** @throws SluiceError (file) when it cannot be read */
  read(path: string): Promise<Uint8Array>;
  /**
   * Writes a whole file, in place of one that is there, which stays as it is where that fails. Into a pipe or device it
   * simply writes. @throws WriteError
   */
  write(path: string, content: string | Uint8Array, options?: FileWriteOptions): Promise<void>;
  /** Whether both lead to one place: the same file, also by links, or where the same one would be made. */
  isSame(one: string, other: string): Promise<boolean>;
  /** For what is written at the end of long work; changes nothing. @throws WriteError */
  checkWritable(path: string): Promise<void>;
  /** Puts what could not be written to `path` elsewhere, for its owner alone; resolves to where. @throws Error */
  rescue(path: string, content: string | Uint8Array): Promise<string>;
}
