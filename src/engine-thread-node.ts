/** The engine's thread in Node: the entry of the worker that `load` starts. */
import { loadLocal } from "./engine/loading/load-local.js";
import { serveEngine } from "./engine/thread/host.js";
import { nodePlatform } from "./platform/node.js";
import { parentThreadPort } from "./platform/thread-node.js";
import { setPlatform } from "./util/platform.js";

setPlatform(nodePlatform);
serveEngine(parentThreadPort(), loadLocal);
