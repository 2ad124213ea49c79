import { defineConfig } from "vitest/config";

const setupFiles = ["test/support/set-platform.ts"];

/** `fast` needs sources alone; `full` (files named *.full.test.ts) needs the built package and more time. */
export default defineConfig({
  test: {
    // Kernel threads sleep when there is nothing to do, so two files at once keep two cores busy.
    maxWorkers: "100%",
    // Each file has a main thread: no other makes 256-bit vectors (src/platform/wide-node.ts).
    pool: "forks",
    projects: [
      {
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.full.test.ts"],
          setupFiles,
          testTimeout: 60_000,
        },
      },
      { test: { name: "full", include: ["test/**/*.full.test.ts"], setupFiles, testTimeout: 300_000 } },
    ],
  },
});
