import { describe, expect, test } from "vitest";
import { FormatError, InternalError, NotFoundError } from "../../src/util/errors.js";
import { cli } from "./support/fake-io.js";

const VERBS = ["run", "chat", "stream", "demo", "inspect", "tokenize", "pull", "train", "export", "gates"];

describe("the command line", () => {
  test("--version writes the version", async () => {
    expect(await cli(["--version"])).toMatchObject({ code: 0, out: "1.2.3\n", err: "" });
  });

  test("--help lists the commands", async () => {
    const { code, out } = await cli(["--help"]);
    expect(code).toBe(0);
    for (const verb of VERBS) expect(out).toMatch(new RegExp(`^  ${verb} `, "m"));
    expect(out).toContain("130 interrupted");
  });

  test.each(VERBS)("%s --help has examples and goes to standard output", async (verb) => {
    const { code, out, err } = await cli([verb, "--help"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`Examples:\n  sluice ${verb} `);
  });

  test("run --help tells defaults, ranges and policies", async () => {
    const { out } = await cli(["run", "--help"]);
    const text = out.replace(/\s+/g, " ");
    expect(text).toContain("from 0 to 100 (default: 0.8)");
    expect(text).toContain("(default: until the model ends, Ctrl-C stops it; with --json at most");
    expect(text).toContain("write on for ever without --max-tokens; at a terminal a note says so.");
    expect(text).toContain("(default: auto: everything, beyond its length the first 4 and the newest tokens)");
    expect(text).toContain("sinks:S,recent:N");
    expect(text).toMatch(/--wasm-memory <size> .* at least 1MiB, .* \(default: 4GiB\) --precise /);
    expect(text).toMatch(/SLUICE_WIDE \(.*0 never.*default: /);
  });

  test.each([
    ["nothing", []],
    ["an unknown command", ["walk"]],
    ["an unknown option", ["inspect", "m.gguf", "--deep"]],
    ["a missing model", ["run"]],
    ["a missing mandatory option", ["stream", "m.gguf", "--context", "full"]],
    ["too many arguments", ["inspect", "a.gguf", "b.gguf"]],
    ["a value that is missing", ["run", "m.gguf", "--seed"]],
  ])("%s is wrong usage: exit code 2, nothing on standard output", async (_, argv) => {
    const { code, out, err } = await cli(argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).not.toBe("");
  });
});

describe("an empty path, as an unset variable of a shell leaves it", () => {
  test.each([
    ["run", "m.gguf", "--prompt", "x", "--save", ""],
    ["run", "m.gguf", "--prompt", "x", "--resume", ""],
    ["run", "m.gguf", "--file", ""],
    ["stream", "m.gguf", "--context", "full", "--file", ""],
    ["stream", "m.gguf", "--context", "full", "--file", "b.txt", "--json", ""],
    ["stream", "m.gguf", "--context", "full", "--file", "b.txt", "--plot", ""],
    ["demo", "--plot", ""],
    ["eval", "passkey", "m.gguf", "--length", "64", "--context", "full", "--filler", ""],
    ["train", "c.json", "--out", ""],
    ["train", "c.json", "--data", ""],
    ["train", "--resume", ""],
    ["train", ""],
    ["export", "", "--to", "gguf"],
    ["export", "run", "--out", ""],
  ])("%s %s %s %s %s %s %s", async (...argv) => {
    const { code, err, io } = await cli(argv, { files: { "b.txt": "text", "c.json": "{}" } });
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining("Expected a path; found an empty text.") });
    expect(io.written.size).toBe(0);
  });
});

describe("a result over what is read", () => {
  const files = { "m.gguf": "weights", "b.txt": "a text", "w-00002-of-00002.gguf": "more", "old.json": "{}" };
  test.each([
    ["run", "m.gguf", "--prompt", "x", "--save", "m.gguf"],
    ["run", "m.gguf", "--prompt", "x", "--save", "w-00002-of-00002.gguf"],
    ["run", "m.gguf", "--file", "b.txt", "--save", "./b.txt"],
    ["stream", "m.gguf", "--context", "full", "--file", "b.txt", "--json", "b.txt"],
    ["stream", "m.gguf", "--context", "full", "--file", "b.txt", "--plot", "./m.gguf"],
    ["demo", "m.gguf", "--file", "b.txt", "--plot", "b.txt"],
    ["eval", "passkey", "m.gguf", "--length", "64", "--context", "full", "--filler", "b.txt", "--json", "b.txt"],
  ])("%s %s %s %s %s %s %s", async (...argv) => {
    const { code, err, io } = await cli(argv, { files });
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/would take (its|their) place/) });
    expect([io.written.size, io.loads.length]).toEqual([0, 0]);
  });

  test("and two results in one file by two names", async () => {
    const argv = [
      "stream",
      "m.gguf",
      "--context",
      "full",
      "--file",
      "b.txt",
      "--json",
      "old.json",
      "--plot",
      "./old.json",
    ];
    const { code, err } = await cli(argv, { files });
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining("Two results cannot both be written") });
  });
});

describe("errors", () => {
  const failing = (error: Error) => ({ runtime: { load: () => Promise.reject(error) } });
  const argv = ["run", "m.gguf", "--prompt", "x"];

  test("say what happened and what helps, without a stack trace", async () => {
    const { code, out, err } = await cli(argv, failing(new NotFoundError("m.gguf cannot be read.")));
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^error: m\.gguf cannot be read\.\nhint: .*\n$/);
  });

  test("advise another fetch only where a file lacks bytes", async () => {
    const told = async (error: Error) => (await cli(argv, failing(error))).err;
    expect(await told(new FormatError("m.gguf ends.", { truncated: true }))).toContain("fetch it again");
    expect(await told(new FormatError("m.gguf is a JPEG image."))).toBe("error: m.gguf is a JPEG image.\n");
  });

  test("of other kinds are told as well", async () => {
    const { code, err } = await cli(argv, failing(new TypeError("x is not a function")));
    expect(code).toBe(1);
    expect(err).toBe("error: x is not a function\nhint: SLUICE_DEBUG=1 shows where it happened\n");
  });

  test("show the stack with SLUICE_DEBUG=1", async () => {
    const { err } = await cli(argv, { ...failing(new InternalError("Broken.")), env: { SLUICE_DEBUG: "1" } });
    expect(err).toMatch(/\n {4}at /);
  });

  test("do not pass on terminal escapes of a file", async () => {
    const { err } = await cli(argv, failing(new FormatError("bad \x1b[31mname\u202e\r")));
    expect(err).toContain("bad \\u001b[31mname\\u202e\\r");
    expect(err).not.toContain("\x1b");
  });

  test("are coloured at a terminal unless NO_COLOR says no", async () => {
    const setup = { ...failing(new FormatError("bad")), stderrTTY: true };
    expect((await cli(argv, setup)).err).toContain("\x1b[31merror:\x1b[39m bad");
    expect((await cli(argv, { ...setup, env: { NO_COLOR: "1" } })).err).toContain("error: bad");
    expect((await cli(argv, { ...setup, env: { NO_COLOR: "1" } })).err).not.toContain("\x1b[31m");
  });
});
