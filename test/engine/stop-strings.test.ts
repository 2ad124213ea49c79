import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopStrings } from "../../src/engine/session/stop-strings.js";
import { ArgumentError } from "../../src/util/errors.js";

/** By definition: take characters until the text ends with a stop string; cut the longest one off. */
function cutByDefinition(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const seen = text.slice(0, end);
    const complete = stops.filter((stop) => seen.endsWith(stop)).map((stop) => stop.length);
    if (complete.length > 0) return { text: seen.slice(0, end - Math.max(...complete)), stopped: true };
  }
  return { text, stopped: false };
}

/** Text over two letters, so that partial matches abound. */
const ab = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom("a", "b"), { minLength, maxLength }).map((letters) => letters.join(""));

describe("StopStrings", () => {
  it("cuts as the definition says, however the text is split, and never takes text back", () => {
    fc.assert(
      fc.property(fc.array(ab(0, 9), { maxLength: 12 }), fc.array(ab(1, 9), { maxLength: 3 }), (pieces, stops) => {
        const expected = cutByDefinition(pieces.join(""), stops);
        const stop = new StopStrings(stops);
        let given = "";
        let stopped = false;
        for (const piece of pieces) {
          const push = stop.push(piece);
          given += push.text;
          stopped = push.stopped;
          expect(expected.text.startsWith(given)).toBe(true);
        }
        given += stop.end();
        expect({ text: given, stopped }).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it("holds back no more than could still become a stop string", () => {
    fc.assert(
      fc.property(ab(0, 12), fc.array(ab(1, 5), { minLength: 1, maxLength: 3 }), (text, stops) => {
        const push = new StopStrings(stops).push(text);
        fc.pre(!push.stopped);
        const held = text.slice(push.text.length);
        expect(held === "" || stops.some((stop) => stop.startsWith(held))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it("lets everything through without stop strings", () => {
    const stop = new StopStrings();
    expect(stop.push("abc")).toEqual({ text: "abc", stopped: false });
    expect(stop.end()).toBe("");
  });

  it("gives nothing after the stop", () => {
    const stop = new StopStrings(["\n\n"]);
    expect(stop.push("one\n")).toEqual({ text: "one", stopped: false });
    expect(stop.push("\ntwo")).toEqual({ text: "", stopped: true });
    expect(stop.push("three")).toEqual({ text: "", stopped: true });
    expect(stop.end()).toBe("");
  });

  it("handles characters beyond the basic plane", () => {
    const stop = new StopStrings(["😀!"]);
    expect(stop.push("a😀")).toEqual({ text: "a", stopped: false });
    expect(stop.push("😁😀!")).toEqual({ text: "😀😁", stopped: true });
  });

  it("stays linear for a long stop string that almost matches everywhere", () => {
    const stop = new StopStrings([`${"a".repeat(50_000)}b`]);
    const push = stop.push("a".repeat(200_000));
    expect(push).toEqual({ text: "a".repeat(150_000), stopped: false });
  });

  it("looks at hidden text, which never comes out, however it lies in a stop string", () => {
    const pieces = fc.array(fc.tuple(ab(0, 4), fc.boolean()), { maxLength: 10 });
    fc.assert(
      fc.property(pieces, fc.array(ab(1, 6), { minLength: 1, maxLength: 3 }), (texts, stops) => {
        const whole = texts.map(([text]) => text).join("");
        const cut = cutByDefinition(whole, stops);
        const hidden = texts.flatMap(([text, isHidden]) => Array.from(text, () => isHidden));
        const expected = Array.from(cut.text).filter((_, i) => !hidden[i]);
        const stop = new StopStrings(stops);
        let given = "";
        let stopped = false;
        for (const [text, isHidden] of texts) {
          const push = stop.push(text, isHidden ? "hidden" : "shown");
          given += push.text;
          stopped = push.stopped;
        }
        given += stop.end();
        expect({ text: given, stopped }).toEqual({ text: expected.join(""), stopped: cut.stopped });
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses an empty stop string", () => {
    expect(() => new StopStrings(["x", ""])).toThrow(ArgumentError);
  });
});
