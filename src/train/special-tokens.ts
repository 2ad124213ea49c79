/** Tokens that a run adds to the vocabulary that it trains. */

/** Ends a document. */
export const END_TOKEN = "<|endoftext|>";
/** Stands in front of every sample where `sinkToken` asks for it. */
export const SINK_TOKEN = "<|sink|>";
