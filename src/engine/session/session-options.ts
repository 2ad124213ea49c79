/** Session options with nothing left open, checked at once so that mistakes show where they are made. */

import type { GatesByName } from "../../context/gates/index.js";
import { parsePolicy } from "../../context/policy-text.js";
import { KV_TYPES, type KvType } from "../../tensor/dtype.js";
import { ArgumentError } from "../../util/errors.js";
import type { ModelInfo, SessionOptions } from "../api.js";
import { sessionOptions } from "../calls/call-options.js";
import { ownIds } from "../calls/values.js";
import { withContext } from "./default-context.js";
import type { SessionSettings } from "./session-settings.js";

/** What session options may mean something by. */
export interface OptionsModel {
  readonly info: ModelInfo;
  readonly gates: GatesByName;
}

/** @param gates that the policy may name; absent: any name will do. @throws PolicyError, ArgumentError */
export function sessionSettings(given?: SessionOptions, call = "session", gates?: GatesByName): SessionSettings {
  const options = sessionOptions(call, given);
  const { contextLength, chunk = 256, source } = options;
  const policy = parsePolicy(options.context ?? "auto", gates && { gates });
  return { policy, ...kvTypes(options.kv ?? "f16"), contextLength, chunk, source };
}

/** What the options mean with this model. @throws PolicyError, ArgumentError */
export function settingsFor(
  { info, gates }: OptionsModel,
  options: SessionOptions | undefined,
  call = "session",
): SessionSettings {
  const settings = withContext(sessionSettings(options, call, gates), info);
  const { source } = settings;
  if (source !== undefined && typeof source !== "string") ownIds("source", source, info.vocabulary);
  return settings;
}

/** Options that give these settings again. */
export function optionsOf({
  policy,
  keyType,
  valueType,
  contextLength,
  chunk,
  source,
}: SessionSettings): SessionOptions {
  return {
    context: policy.text,
    kv: `${keyType}/${valueType}`,
    chunk,
    ...(contextLength !== undefined && { contextLength }),
    ...(source !== undefined && { source }),
  };
}

/** The same as what goes to another thread: ids in a buffer of their own. */
export function sentOptions(settings: SessionSettings): SessionOptions {
  const { source } = settings;
  return optionsOf({ ...settings, source: typeof source === "object" ? Int32Array.from(source) : source });
}

/** "q8" or "q8/q4" (keys / values). */
function kvTypes(text: string): { keyType: KvType; valueType: KvType } {
  const parts = String(text).split("/");
  const [keyType, valueType] = [parts[0], parts.at(-1)].map((part) => KV_TYPES.find((type) => type === part));
  if (parts.length > 2 || !keyType || !valueType) {
    const meant = meantTypes(text);
    throw new ArgumentError(
      `The cache type is one of ${KV_TYPES.join(", ")}, or keys and values apart such as "q8/q4"; found "${text}".` +
        (meant === undefined ? "" : ` Did you mean "${meant}"?`),
      {
        option: "kv",
        found: text,
      },
    );
  }
  return { keyType, valueType };
}

/** Types in other letters, with llama.cpp's endings, or with another mark between them; undefined: nothing like a type. */
function meantTypes(text: string): string | undefined {
  const words = String(text)
    .slice(0, 64)
    .trim()
    .split(/[\s,/:;+|-]+/);
  const types = words.map((word) => {
    const plain = word.toLowerCase().replace(/_[01]$/, "");
    return KV_TYPES.find((type) => type === plain);
  });
  return types.length <= 2 && types.every((type) => type !== undefined) ? types.join("/") : undefined;
}
