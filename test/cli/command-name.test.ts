import { expect, test } from "vitest";
import { commandName, runnable } from "../../src/cli/command-name.js";

test.each([
  ["/usr/local/bin/sluice", "sluice"],
  ["/home/a/project/node_modules/.bin/sluice", "npx sluice"],
  ["/home/a/.npm/_npx/0123/node_modules/.bin/sluice", "npx sluice"],
  ["C:\\project\\node_modules\\sluice\\dist\\cli\\main.js", "npx sluice"],
  ["/home/a/sluice/dist/cli/main.js", "npx sluice"],
])("started as %s the command is %s", (script, expected) => {
  expect(commandName(script)).toBe(expected);
});

test("command lines become such that can be run; other words stay", () => {
  const text = "`sluice inspect M`, npx sluice run, runs/sluice run, Usage: sluice run, the sluice opens";
  expect(runnable(text, { command: "npx sluice" })).toBe(
    "`npx sluice inspect M`, npx sluice run, runs/sluice run, Usage: sluice run, the sluice opens",
  );
  expect(runnable(text, { command: "sluice" })).toBe(text);
});
