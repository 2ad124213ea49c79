/** The engine's thread in a browser: the entry of the worker that `load` starts. */
import { loadLocal } from "./engine/loading/load-local.js";
import { serveEngine } from "./engine/thread/host.js";
import { browserPlatform } from "./platform/browser.js";
import { parentThreadPort } from "./platform/thread-browser.js";
import { setPlatform } from "./util/platform.js";

setPlatform(browserPlatform);
serveEngine(parentThreadPort(self), loadLocal);
