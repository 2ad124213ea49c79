/** What a session says of its options with this model, on standard error as other notices are. */
import type { Session } from "../engine/api.js";
import { withFlags } from "./flag-names.js";
import type { Io } from "./io.js";
import { plainText } from "./style.js";

/** `note: ...` lines; nothing under --quiet. */
export async function writeNotes(io: Io, { notes }: Pick<Session, "notes">, quiet: boolean): Promise<void> {
  if (quiet) return;
  for (const note of notes) await io.stderr.write(`note: ${withFlags(plainText(note))}\n`);
}
