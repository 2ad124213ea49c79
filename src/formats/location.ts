/** Paths and URLs as text: their last part and what is before it, without asking the platform. */

function lastSeparator(location: string): number {
  return Math.max(location.lastIndexOf("/"), location.lastIndexOf("\\"));
}

/** The last part: "model.gguf" of "/models/model.gguf". */
export function baseName(location: string): string {
  return location.slice(lastSeparator(location) + 1);
}

/** The folder that it lies in; "." for a bare name. */
export function parentOf(location: string): string {
  const at = lastSeparator(location);
  if (at < 0) return ".";
  return at === 0 ? location.slice(0, 1) : location.slice(0, at);
}

/** An entry of a folder. */
export function joinLocation(folder: string, name: string): string {
  return /[/\\]$/.test(folder) ? folder + name : `${folder}/${name}`;
}
