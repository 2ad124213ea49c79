/** Paths and URLs as text: their last part and what is before it, without asking the platform. */

/** Whether it is a URL that is read over the network or from a page's memory; "C:\\model.gguf" is a path. */
export function isUrl(location: string): boolean {
  return /^(https?|blob|data):/i.test(location);
}

/** A URL's query and fragment are no part of a name: ["https://host/model.gguf", "?download=true"]. */
export function splitQuery(location: string): [place: string, query: string] {
  const at = isUrl(location) ? location.search(/[?#]/) : -1;
  return at < 0 ? [location, ""] : [location.slice(0, at), location.slice(at)];
}

function lastSeparator(location: string): number {
  return isUrl(location) ? location.lastIndexOf("/") : Math.max(location.lastIndexOf("/"), location.lastIndexOf("\\"));
}

/** The last part: "model.gguf" of "/models/model.gguf". */
export function baseName(location: string): string {
  const [place] = splitQuery(location);
  const name = place.slice(lastSeparator(place) + 1);
  return isUrl(location) ? decoded(name) : name;
}

/** The folder that it lies in; "." for a bare name. The query of a URL stays: it may say who may read. */
export function parentOf(location: string): string {
  const [place, query] = splitQuery(location);
  const at = lastSeparator(place);
  if (at < 0) return ".";
  return (at === 0 ? place.slice(0, 1) : place.slice(0, at)) + query;
}

/** An entry of a folder. */
export function joinLocation(folder: string, name: string): string {
  const [place, query] = splitQuery(folder);
  const entry = isUrl(folder) ? encodeURIComponent(name) : name;
  // Never the root of the file system.
  if (place === "") return entry + query;
  return (/[/\\]$/.test(place) ? place + entry : `${place}/${entry}`) + query;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
