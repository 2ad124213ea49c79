/** Every test file runs on Node's platform. */
import { nodePlatform } from "../../src/platform/node.js";
import { setPlatform } from "../../src/util/platform.js";

setPlatform(nodePlatform);
