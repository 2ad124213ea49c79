/** Every test file runs on the platform of the tests. */
import { setPlatform } from "../../src/util/platform.js";
import { testPlatform } from "./test-platform.js";

setPlatform(testPlatform);
