/** Sluice in a browser. */
import { browserPlatform } from "./platform/browser.js";
import { setPlatform } from "./util/platform.js";

setPlatform(browserPlatform);

export * from "./public.js";
