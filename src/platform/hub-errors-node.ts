/**
 * Errors of the hub's library, of fetch and of the file system, as typed errors that say what to do.
 */
import { HubApiError } from "@huggingface/hub";
import { CancelledError, NetworkError, NotFoundError, SluiceError } from "../util/errors.js";
import { systemCode } from "./file-node.js";
import { ANSWERED } from "./hub-fetch-node.js";

export interface HubPlace {
  readonly repo: string;
  readonly path?: string;
  readonly endpoint: string;
}

/** The typed form of whatever went wrong at a place of the hub. */
export function hubError(error: unknown, place: HubPlace, signal?: AbortSignal): SluiceError {
  if (signal?.aborted) return new CancelledError("The download was cancelled; what is there is kept for the next try.");
  if (error instanceof SluiceError) return error;
  if (error instanceof HubApiError) return refusal(error, place);
  const details = { repo: place.repo, endpoint: place.endpoint };
  const message = error instanceof Error ? reason(error) : String(error);
  if (systemCode(error) !== undefined) {
    return new SluiceError("storage", `'${place.repo}' cannot be stored: ${message}.`, details, { cause: error });
  }
  if (error instanceof SyntaxError || (error instanceof TypeError && error.cause === undefined)) {
    const text = `${place.endpoint} gave an answer for '${place.repo}' that no hub gives: ${message}. Check HF_ENDPOINT.`;
    return new NetworkError(text, { ...details, ...ANSWERED }, { cause: error });
  }
  return new NetworkError(
    `${place.endpoint} cannot be reached for '${place.repo}': ${message}. Check the network and HF_ENDPOINT, then try again.`,
    details,
    { cause: error },
  );
}

function refusal(error: HubApiError, place: HubPlace): SluiceError {
  const status = error.statusCode;
  const what = place.path === undefined ? `'${place.repo}'` : `'${place.path}' of '${place.repo}'`;
  const details = { ...place, status };
  if (status === 404) {
    return new NotFoundError(`${place.endpoint} has no ${what}. Check the name.`, details, { cause: error });
  }
  if (status === 401 || status === 403) {
    return new NetworkError(
      `${place.endpoint} refuses ${what} (status ${status}): it does not exist, is private, or asks for its terms to be ` +
        "accepted on its page. Check the name, and set HF_TOKEN to a token that may read it.",
      details,
      { cause: error },
    );
  }
  return new NetworkError(`${place.endpoint} answered ${status} for ${what}. Try again later.`, details, {
    cause: error,
  });
}

/** fetch says only "fetch failed"; its cause says why. */
function reason(error: Error): string {
  return error.cause instanceof Error && error.cause.message !== "" ? error.cause.message : error.message;
}
