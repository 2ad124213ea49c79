/** The registry of policies: adding one is adding its file and a line here. */
import type { PolicyDefinition } from "../policy.js";
import { auto } from "./auto.js";
import { bigbird } from "./bigbird.js";
import { duo } from "./duo.js";
import { full } from "./full.js";
import { recompute } from "./recompute.js";
import { systemAndRecent } from "./system-sinks.js";
import { recent, sinksAndRecent } from "./window.js";

export const POLICIES: readonly PolicyDefinition[] = [
  auto,
  full,
  recent,
  sinksAndRecent,
  systemAndRecent,
  duo,
  bigbird,
  recompute,
];
