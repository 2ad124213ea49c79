/** The documentation's promises about errors are those of the code. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as errors from "../../src/util/errors.js";

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

const ROW = /^\| `(\w+)` \| `(\w+)` \|/gm;

/** `[code, class]` of every kind of error. */
function codes(): string[][] {
  const source = read("src/util/errors.ts");
  return Object.keys(errors)
    .filter((name) => name !== "SluiceError")
    .map((name) => {
      const [, code] = new RegExp(`class ${name} [\\s\\S]*?super\\("(\\w+)"`).exec(source) ?? [];
      return [code, name];
    })
    .sort();
}

test("the cookbook lists every kind of error with its code", () => {
  const listed = [...read("docs/cookbook.md").matchAll(ROW)].map(([, code, name]) => [code, name]).sort();
  expect(listed).toEqual(codes());
});

test("pieces of the cookbook call what is there", () => {
  const pieces = [...read("docs/cookbook.md").matchAll(/```js\n([\s\S]*?)```/g)].map(([, piece]) => piece);
  expect(pieces.length).toBeGreaterThan(8);
  const methods = pieces.flatMap((piece) =>
    [...piece.matchAll(/\b(?:session|again|model)\.(\w+)\(/g)].map(([, m]) => m),
  );
  const declared = read("src/engine/api.ts");
  for (const method of methods) expect(declared, method).toMatch(new RegExp(`^  (?:readonly )?${method}[(:]`, "m"));
});

test("every import of the package is said to be a promise or not", () => {
  const { exports, name } = JSON.parse(read("package.json")) as { exports: Record<string, unknown>; name: string };
  const imports = Object.keys(exports)
    .filter((path) => path !== "./package.json")
    .map((path) => name + path.slice(1));
  const rows = [...read("docs/stability.md").matchAll(/^\| (.*?) \| .* \| (promised|unstable|in part) \|$/gm)];
  const said = rows.flatMap(([, names, state]) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, path]) => ({ path, state })),
  );
  expect(said.map(({ path }) => path).sort()).toEqual(imports.sort());
  for (const { path, state } of said.filter((one) => one.state === "unstable")) {
    expect(read(`src/${path.slice(name.length + 1)}/index.ts`), `${path}, ${state}`).toContain("Unstable:");
  }
});
