/** The ranks of docs/architecture.md: a folder imports only from folders of lower rank. */
const RANKS = [
  ["util"],
  ["tensor"],
  ["quant"],
  ["formats", "tokenizer", "position", "platform"],
  ["backends", "autograd"],
  ["context"],
  ["nn"],
  ["models"],
  ["engine", "train"],
  ["eval", "server"],
  ["cli"],
];

const folders = (from) => RANKS.slice(from).flat();

const rankRules = RANKS.flatMap((row, rank) =>
  row.map((folder) => ({
    name: `rank-${folder}`,
    comment: `src/${folder} has rank ${rank}; it may import only from lower ranks.`,
    severity: "error",
    from: { path: `^src/${folder}/` },
    to: {
      path: `^src/(${
        folders(rank)
          .filter((f) => f !== folder)
          .join("|") || "-"
      })/`,
    },
  })),
);

module.exports = {
  forbidden: [
    ...rankRules,
    {
      name: "no-circular",
      comment: "Neither at run time nor of types: what two files share has a file of its own.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "backends-apart",
      comment: "Backends share the interface, not code; the reference may not lean on the one it checks.",
      severity: "error",
      from: { path: "^src/backends/([^/]+)/" },
      to: { path: "^src/backends/", pathNot: "^src/backends/$1/" },
    },
    {
      name: "node-only-where-allowed",
      comment: "Everything but the platform, the CLI and the server runs in a browser.",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(platform|cli|server)/|^src/index-node" },
      to: { dependencyTypes: ["core"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".ts", ".js"] },
  },
};
