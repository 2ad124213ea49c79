/**
 * Models of the Hugging Face hub where there is no disk to fetch them to: their files as URLs of one commit, which are read
 * by ranges. Two routes of the hub's API are all that is needed; its library would come into every page.
 */
import { ArgumentError, NetworkError, NotFoundError } from "../util/errors.js";
import type { Hub, HubFetchOptions } from "../util/platform.js";
import { connectionError, mayPass, piecesOf, request, withRetries } from "./http-request.js";

/** More than any model has; a server that lists without end is cut off. */
const MOST_PAGES = 100;
const MOST_FILES = 100_000;
/** Of one answer. */
const MOST_ANSWER_BYTES = 2 ** 24;

export class HttpHub implements Hub {
  readonly isRemote = true;
  private readonly endpoint: string;
  /** The commit that a repository's files are of; a new listing looks again. */
  private readonly commits = new Map<string, Promise<string>>();

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  async list(repo: string, signal?: AbortSignal): Promise<readonly { readonly path: string; readonly size: number }[]> {
    this.commits.delete(repo);
    const commit = await this.commit(repo, signal);
    const files: { path: string; size: number }[] = [];
    let next: string | undefined = `${this.endpoint}/api/models/${repo}/tree/${commit}?recursive=true`;
    for (let page = 0; next !== undefined; page++) {
      const { value, link } = await this.json(next, repo, signal);
      if (!Array.isArray(value)) throw this.strange(repo, "its list of files");
      files.push(...value.filter(isFile).map(({ path, size }) => ({ path, size })));
      if (page === MOST_PAGES || files.length > MOST_FILES) {
        throw new NetworkError(`'${repo}' lists more than ${files.length} files; no model has as many.`, { repo });
      }
      next = nextPage(link, next);
    }
    return files;
  }

  async fetch(repo: string, path: string, { signal }: HubFetchOptions = {}): Promise<string> {
    const commit = await this.commit(repo, signal);
    return `${this.endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** The commit that `main` is. */
  private commit(repo: string, signal: AbortSignal | undefined): Promise<string> {
    checkRepo(repo);
    const known = this.commits.get(repo);
    if (known) return known;
    const commit = this.json(`${this.endpoint}/api/models/${repo}/revision/main`, repo, signal).then(({ value }) => {
      const sha = typeof value === "object" && value !== null && "sha" in value ? value.sha : undefined;
      if (typeof sha === "string" && /^[0-9a-f]{40}$/.test(sha)) return sha;
      throw this.strange(repo, "its commit");
    });
    this.commits.set(repo, commit);
    commit.catch(() => this.commits.delete(repo));
    return commit;
  }

  private async json(url: string, repo: string, signal: AbortSignal | undefined) {
    const response = await withRetries(
      () => request(url, { signal }),
      (error) => mayPass(error),
      signal,
    ).catch((error) => Promise.reject(this.refusal(error, repo)));
    try {
      const value: unknown = JSON.parse(await this.text(response));
      return { value, link: response.headers.get("Link") };
    } catch (error) {
      throw error instanceof SyntaxError ? this.strange(repo, "what was asked") : connectionError(url, error, signal);
    }
  }

  private async text(response: Response): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for await (const piece of piecesOf(response)) {
      bytes += piece.length;
      if (bytes > MOST_ANSWER_BYTES) {
        throw new NetworkError(
          `${this.endpoint} answers with more than ${MOST_ANSWER_BYTES} bytes: no hub says so much.`,
        );
      }
      text += decoder.decode(piece, { stream: true });
    }
    return text + decoder.decode();
  }

  /** The hub says 401 of what does not exist and of what is private. */
  private refusal(error: unknown, repo: string): unknown {
    const status = error instanceof NetworkError || error instanceof NotFoundError ? error.details.status : undefined;
    if (status === 404)
      return new NotFoundError(`${this.endpoint} has no '${repo}'. Check the name.`, { repo, status });
    if (status !== 401 && status !== 403) return error;
    return new NetworkError(
      `${this.endpoint} refuses '${repo}' (status ${status}): it does not exist, is private, or asks for its terms to be ` +
        "accepted, which a page cannot do. Check the name, or serve the file yourself and give its URL.",
      { repo, status },
    );
  }

  private strange(repo: string, what: string): NetworkError {
    return new NetworkError(`${this.endpoint} did not answer as the hub does when asked for '${repo}' and ${what}.`, {
      repo,
    });
  }
}

function isFile(entry: unknown): entry is { readonly path: string; readonly size: number } {
  if (typeof entry !== "object" || entry === null) return false;
  if (!("type" in entry && "path" in entry && "size" in entry)) return false;
  return entry.type === "file" && typeof entry.path === "string" && Number.isSafeInteger(entry.size);
}

/** Of a Link header (RFC 8288): the hub pages long listings. */
function nextPage(link: string | null, current: string): string | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(link ?? "")?.[1];
  return target !== undefined && URL.canParse(target, current) ? new URL(target, current).href : undefined;
}

function checkRepo(repo: string): void {
  if (/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(repo) && !repo.includes("..")) return;
  throw new ArgumentError(`Expected a repository of the hub as 'user/name'; found '${repo}'.`);
}
