/** Sluice in Node. */
import { nodePlatform } from "./platform/node.js";
import { setPlatform } from "./util/platform.js";

setPlatform(nodePlatform);

export * from "./public.js";
