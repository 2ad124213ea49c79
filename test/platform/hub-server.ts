/**
 * A small server that speaks the hub's routes: model info, tree, resolve with ranges. It counts requests and can cut
 * connections, refuse and lie, as real ones do.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

export interface HubRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export class HubServer {
  readonly files = new Map<string, Uint8Array>();
  readonly requests: HubRequest[] = [];
  commit = "0123456789abcdef0123456789abcdef01234567";
  /** Cuts the connection after this many bytes of a file. */
  cutAfter: number | undefined;
  /** Answers the content of files with this status. */
  refuseContent: number | undefined;
  /** Ignores ranges of a content request, as some servers do. */
  ignoresRanges = false;
  /** Sends other bytes than announced. */
  damages = false;
  /** Ends the content of files one byte early, in due form. */
  endsEarly = false;
  /** Never finishes sending content. */
  hangs = false;
  /** Answers a listing, from the page of this number on, in place of the files. */
  listing: ((page: number, response: ServerResponse) => void) | undefined;
  /** Sends everybody elsewhere: back to where they came from. */
  redirects = false;
  /** Names files by their SHA-256, as the hub does for large ones. */
  namesBySha = true;
  private readonly server: Server = createServer((request, response) => this.answer(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    const address = this.server.address();
    if (typeof address !== "object" || !address) throw new Error("no address");
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Requests for the bytes of files (not the library's question for the first byte). */
  get contentRequests(): HubRequest[] {
    return this.requests.filter(({ path, range }) => path.includes("/resolve/") && range !== "bytes=0-0");
  }

  private answer(request: IncomingMessage, response: ServerResponse): unknown {
    const path = (request.url ?? "").replace(/\?.*$/, "");
    const { range, authorization } = request.headers;
    this.requests.push({ path, range, authorization });
    if (this.redirects) return response.writeHead(302, { Location: request.url }).end();
    if (path.includes("/gated/") && authorization !== "Bearer hf_good") return refuse(response, 401);
    if (path.includes("/forbidden/")) return refuse(response, 403);
    if (path.includes("/broken/")) return refuse(response, 503);
    const [, repo = "", rest = ""] = /^(?:\/api\/models)?\/(\w+\/[\w.-]+)\/(.*)$/.exec(path) ?? [];
    if (!/^(user|gated)\/model$/.test(repo)) return refuse(response, 404);
    const page = Number(/[?&]page=(\d+)/.exec(request.url ?? "")?.[1] ?? 0);
    if (path.startsWith("/api/")) return this.answerApi(rest, page, response);
    const file = rest.replace(/^resolve\/[^/]+\//, "");
    const bytes = this.files.get(decodeURIComponent(file));
    if (bytes) return this.sendFile(bytes, range, response);
    return refuse(response, 404, { "X-Error-Code": "EntryNotFound" });
  }

  private answerApi(rest: string, page: number, response: ServerResponse): unknown {
    if (rest.startsWith("revision/main")) return json(response, { _id: "1", id: "user/model", sha: this.commit });
    if (!rest.startsWith(`tree/${this.commit}`)) return refuse(response, 404);
    if (this.listing) return this.listing(page, response);
    const folders = [{ type: "directory", path: "sub", size: 0, oid: "0" }];
    const files = [...this.files].map(([path, bytes]) => ({ type: "file", path, size: bytes.length, oid: "0" }));
    return json(response, [...folders, ...files]);
  }

  private sendFile(bytes: Uint8Array, range: string | undefined, response: ServerResponse): unknown {
    const isQuestion = range === "bytes=0-0";
    if (!isQuestion && this.refuseContent) return refuse(response, this.refuseContent);
    const [, from = "0", to = String(bytes.length - 1)] =
      (isQuestion || !this.ignoresRanges ? /^bytes=(\d+)-(\d+)$/.exec(range ?? "") : undefined) ?? [];
    const sha = createHash("sha256").update(bytes).digest("hex");
    const body = Buffer.from(bytes.subarray(Number(from), Number(to) + 1));
    if (this.damages && !isQuestion) body[0] ^= 1;
    response.writeHead(range && (isQuestion || !this.ignoresRanges) ? 206 : 200, {
      ETag: this.namesBySha ? `"${sha}"` : `W/"${sha.slice(0, 40)}"`,
      ...(this.endsEarly ? {} : { "Content-Length": body.length }),
      "Content-Range": `bytes ${from}-${to}/${bytes.length}`,
    });
    if (!isQuestion && this.endsEarly) return response.end(body.subarray(0, -1));
    if (isQuestion || (this.cutAfter === undefined && !this.hangs)) return response.end(body);
    return response.write(body.subarray(0, this.cutAfter ?? 1), () => {
      if (!this.hangs) response.destroy();
    });
  }
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): unknown {
  return response.writeHead(status, headers).end("no");
}

function json(response: ServerResponse, value: unknown): unknown {
  return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}
