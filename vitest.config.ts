import { defineConfig } from "vitest/config";

const setupFiles = ["test/support/set-platform.ts"];

/** `fast` runs in `npm run check`; `full` (files named *.full.test.ts) needs the built package and more time. */
export default defineConfig({
  test: {
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
