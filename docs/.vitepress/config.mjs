// The documentation as a site: the pages of docs/ and the API reference that typedoc writes to docs/api.
import { defineConfig } from "vitepress";
import api from "../api/typedoc-sidebar.json" with { type: "json" };

const guide = [
  {
    text: "Guide",
    items: [
      { text: "First five minutes", link: "/first-steps" },
      { text: "Which policy when", link: "/policies" },
      { text: "Gates of heads", link: "/gates" },
      { text: "Cookbook", link: "/cookbook" },
      { text: "Speed and exactness", link: "/speed" },
      { text: "In a browser", link: "/browser" },
      { text: "Bundlers", link: "/bundlers" },
      { text: "What is a promise", link: "/stability" },
      { text: "Training", link: "/training" },
    ],
  },
  {
    text: "How it is",
    items: [
      { text: "Evidence", link: "/evidence" },
      { text: "Architecture", link: "/architecture" },
      { text: "Adding a model", link: "/adding-a-model" },
      { text: "Log of experiments", link: "/log" },
    ],
  },
  {
    text: "Formats of results",
    items: [
      { text: "stream, demo --json", link: "/stream-json" },
      { text: "eval passkey --json", link: "/passkey-json" },
    ],
  },
];

export default defineConfig({
  title: "Sluice",
  description: "The long-context LLM runtime for TypeScript",
  cleanUrls: true,
  outDir: "site",
  // Everything that typedoc writes is searched in the browser, so its index is large.
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  cacheDir: ".vitepress/cache",
  srcExclude: ["node_modules/**", "package.json"],
  // Links to files of the repository beside docs/ are for readers of the repository.
  ignoreDeadLinks: [/^\.\/\.\.\//, /^\.\.\//],
  themeConfig: {
    nav: [
      { text: "Guide", link: "/first-steps" },
      { text: "API", link: "/api/" },
      { text: "Evidence", link: "/evidence" },
    ],
    sidebar: { "/api/": [{ text: "API", items: api }], "/": guide },
    search: { provider: "local" },
    outline: "deep",
  },
});
