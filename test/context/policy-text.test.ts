/** The text form of policies: every form is read, every mistake is pointed at, and the arithmetic is the literal cache. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ContextPolicy } from "../../src/context/policy.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { PolicyError } from "../../src/util/errors.js";

const TEXTS: readonly (readonly [string, string, number | undefined])[] = [
  ["full", "full", undefined],
  ["auto", "auto", undefined],
  [" auto:64", "auto:64", 64],
  ["recent:256", "recent:256", 256],
  ["sinks:4,recent:252", "sinks:4,recent:252", 256],
  [" recent:252 , sinks:4 ", "sinks:4,recent:252", 256],
  ["sinks:0,recent:8", "recent:8", 8],
  ["sinks:4,recent:60,evict=16", "sinks:4,recent:60,evict=16", 64],
  ["sinks:4,recent:60,evict=1,distance=cache", "sinks:4,recent:60", 64],
  ["recent:60,sinks:4,distance=text", "sinks:4,recent:60,distance=text", 64],
  ["recompute:256", "recompute:256", 256],
  ["full,read=quest:1024", "full,read=quest:1024", undefined],
  ["dense=0,full , read=quest:32", "full,read=quest:32,dense=0", undefined],
  ["read=quest:50,recent:60,dense=2,sinks:4", "sinks:4,recent:60,read=quest:50", 64],
  ["recent:60,read=quest:59,evict=4,distance=text", "recent:60,evict=4,distance=text,read=quest:59", 60],
  ["sinks:system,recent:60,read=quest:50", "sinks:system,recent:60,read=quest:50", 64],
  [
    "dense=0,recent:60,read=quest:63,distance=text,sinks:system",
    "sinks:system,recent:60,distance=text,read=quest:63,dense=0",
    64,
  ],
  ["read=quest:1024,auto", "auto,read=quest:1024", undefined],
  ["auto:64,read=quest:63,dense=1", "auto:64,read=quest:63,dense=1", 64],
  ["bigbird", "bigbird", undefined],
  ["bigbird:64,seed=0", "bigbird", undefined],
  ["seed=7,bigbird:128", "bigbird:128,seed=7", undefined],
];

const WRONG: readonly (readonly [string, number, string])[] = [
  ["", 0, "missing"],
  ["fulll", 0, 'unknown item "fulll"'],
  [
    "quest:1024",
    0,
    'unknown item "quest": it is a way of reading, written behind a policy, such as full,read=quest:1024',
  ],
  ["recent:256,", 11, "missing"],
  ["recent", 6, "needs a number"],
  ["recent:", 7, "whole number"],
  ["recent:0", 7, "at least 1"],
  ["recent:-4", 7, "whole number"],
  ["recent:2.5", 7, "whole number"],
  ["recent:1e3", 7, "whole number"],
  ["recent:99999999999999999999", 7, "whole number"],
  ["sinks:4,recent:x", 15, "whole number"],
  ["sinks:4", 0, '"sinks" needs recent:N beside it'],
  ["evict=2, sinks:4", 9, '"sinks" needs recent:N beside it'],
  ["full,recent:4", 5, '"recent" does not go with "full"'],
  ["recent:4,sinks:2,recompute:3", 17, '"recompute" does not go with "recent"'],
  ["evict=2", 0, "options alone"],
  ["recent:4,recent:5", 9, "stands twice"],
  ["full:3", 4, "takes no number"],
  ["auto:0", 5, "at least 1"],
  ["auto:", 5, "whole number"],
  ["auto:8,evict=2", 7, "does not go with"],
  ["full,read:quest:32", 5, "write read=VALUE"],
  ["full,read=32", 10, "quest:N with a whole number N of at least 32"],
  ["full,read=quest", 10, "such as quest:1024"],
  ["full,read=quest:31", 10, "at least 32"],
  ["full,read=quest:-4", 10, "at least 32"],
  ["full,read=quest:1e3", 10, "at least 32"],
  ["full,dense=3", 5, "beside read=quest:N"],
  ["full,read=quest:64,dense=x", 25, "whole number"],
  ["recent:64,read=quest:64", 10, "less than what is kept, 64 tokens"],
  ["sinks:4,recent:60,evict=3,read=quest:100", 26, "less than what is kept"],
  ["sinks:17,recent:600,read=quest:63", 20, "leave less than 2 pages"],
  ["duo:g,sinks:64,recent:256,read=quest:64", 26, "leave less than 2 pages"],
  ["auto:64,read=quest:64", 8, "less than what is kept, 64 tokens"],
  ["auto:64,read=quest:47", 8, "leave less than 2 pages"],
  ["auto,dense=1", 5, "beside read=quest:N"],
  ["sinks:system,recent:60,read=quest:64", 23, "less than what is kept, 64 tokens"],
  ["recompute:90,read=quest:64", 13, "does not go with this policy: it keeps no keys"],
  ["bigbird,read=quest:64", 8, "its pattern has a fixed number of blocks. It goes with auto:N; full; "],
  ["bigbird,dense=1", 8, "does not go with this policy, but with auto:N; full; "],
  ["recent:4,evict:2", 9, "write evict=VALUE"],
  ["recent:4,evict=0", 15, "at least 1"],
  ["recent:4,evict=5", 9, "at most recent:4"],
  ["full,evict=5", 5, "does not go with"],
  ["recent:4,speed=5", 9, 'unknown option "speed"'],
  ["bigbird:8", 8, "a multiple of 16, at least 16"],
  ["bigbird:40", 8, "a multiple of 16, at least 16"],
  ["seed=1,bigbird:40", 15, "multiple of 16"],
  ["bigbird:64,evict=2", 11, "does not go with"],
  ["bigbird,seed=x", 13, "whole number"],
  ["full,seed=1", 5, "does not go with this policy, but with bigbird:N alone"],
  ["sinks:1,recent:4,distance=far", 26, '"text" or "cache"'],
];

describe("policy text", () => {
  it.each(TEXTS)("reads %j", (text, canonical, budget) => {
    const policy = parsePolicy(text);
    expect(policy.text).toBe(canonical);
    expect(policy.budget).toBe(budget);
    expect(parsePolicy(policy.text).text).toBe(canonical);
  });

  it.each(WRONG)("points at the mistake in %j", (text, position, what) => {
    const error = catchError(() => parsePolicy(text));
    expect(error).toBeInstanceOf(PolicyError);
    expect(error).toMatchObject({ code: "bad_policy", details: { position } });
    expect(String(error)).toContain(what);
    expect(String(error)).toContain("sinks:S,recent:N");
  });

  it("never fails but with a PolicyError", () => {
    const pieces = fc.constantFrom(
      "full",
      "recent",
      "sinks",
      "recompute",
      "evict",
      "distance",
      "read=quest",
      "dense",
      "100",
      ":",
      "=",
      ",",
      "4",
      "-1",
      " ",
      "é",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 9 }), (parts) => {
        try {
          parsePolicy(parts.join(""));
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("visible ranges", () => {
  const visible = (policy: ContextPolicy, t: number) => policy.headSets(0, 1)[0].retention.visible(t);

  it("are those of a literal cache that evicts when it is full", () => {
    const arbitrary = fc.record({
      sinks: fc.integer({ min: 0, max: 6 }),
      recent: fc.integer({ min: 1, max: 20 }),
      evict: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ sinks, recent, evict: wish }) => {
        const evict = Math.min(wish, recent);
        const policy = parsePolicy(`sinks:${sinks},recent:${recent},evict=${evict}`);
        const cache: number[] = [];
        for (let t = 0; t < 80; t++) {
          if (cache.length === sinks + recent) cache.splice(sinks, evict);
          cache.push(t);
          const seen = visible(policy, t).flatMap(({ start, end }) =>
            Array.from({ length: end - start }, (_, i) => start + i),
          );
          expect(seen).toEqual(cache);
        }
      }),
    );
  });

  it("of full and recompute", () => {
    expect(visible(parsePolicy("full"), 41)).toEqual([{ start: 0, end: 42 }]);
    expect(visible(parsePolicy("recompute:5"), 41)).toEqual([{ start: 37, end: 42 }]);
    expect(parsePolicy("recompute:5").recompute).toBe(true);
  });
});

function catchError(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
