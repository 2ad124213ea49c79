import { describe, expect, test } from "vitest";
import { axisScale, extentOf, formatMark, placeable } from "../../src/cli/plot/axis-scale.js";
import { type LineChart, lineChart } from "../../src/cli/plot/line-chart.js";

const chart = (more: Partial<LineChart> = {}): LineChart => ({
  title: "Loss & <time>",
  xLabel: "step",
  yLabel: "loss",
  series: [
    { name: "train", points: Array.from({ length: 101 }, (_, x) => [x * 10, 8 * Math.exp(-x / 20)] as const) },
    {
      name: "held out",
      points: [
        [0, 8],
        [500, 3],
        [1000, 2],
      ],
      dashed: true,
    },
  ],
  ...more,
});

/** Endpoints of the path in a colour. */
function pathIn(svg: string, colour: string): { dashed: boolean; numbers: number[] } {
  const paths = svg.match(/<path [^>]*>/g) ?? [];
  // The legend's sample is shorter than the line.
  const own = paths.filter((path) => path.includes(`stroke="${colour}"`)).sort((a, b) => b.length - a.length);
  const [d] = own.map((path) => /d="([^"]*)"/.exec(path)?.[1] ?? "").sort((a, b) => b.length - a.length);
  return {
    dashed: own.some((path) => path.includes("stroke-dasharray")),
    numbers: d.match(/[\d.]+/g)?.map(Number) ?? [],
  };
}

describe("lineChart", () => {
  test("is an SVG of the asked size with its words, escaped", async () => {
    const svg = await lineChart(chart({ subtitle: "a small model", width: 700, height: 300 }));
    expect(svg).toMatch(/^<svg width="700" height="300" .*<\/svg>\n$/s);
    for (const word of ["Loss &amp; &lt;time&gt;", "a small model", ">step<", ">loss<", ">train<", ">held out<"]) {
      expect(svg).toContain(word);
    }
    expect(svg).not.toContain("NaN");
  });

  test("lines go where the numbers say, each in its colour, dashed where asked", async () => {
    const svg = await lineChart(chart());
    const train = pathIn(svg, "#0072b2");
    const held = pathIn(svg, "#d55e00");
    expect([train.dashed, held.dashed]).toEqual([false, true]);
    // Both begin at (0, 8): 70 pixels from the left; the middle of the second is half-way to the right edge, 28 pixels in.
    expect(held.numbers.slice(0, 2)).toEqual(train.numbers.slice(0, 2));
    expect(held.numbers[0]).toBe(70);
    expect(held.numbers[2]).toBeCloseTo((70 + 900 - 28) / 2, 0);
    // Down the page is a larger y.
    expect(held.numbers[3]).toBeGreaterThan(held.numbers[1]);
  });

  test("on logarithmic axes a straight line is a power law; what has no place is left out", async () => {
    const points = [
      [1, 1024],
      [0, 5],
      [4, 256],
      [16, 64],
      [64, Number.NaN],
      [1024, 1],
      [2048, -1],
    ] as const;
    const svg = await lineChart(chart({ series: [{ name: "p", points }], logX: true, logY: true }));
    const { numbers } = pathIn(svg, "#0072b2");
    const [x0, y0, x1, y1, x2, y2, x3, y3] = numbers;
    expect(numbers).toHaveLength(8);
    expect((x1 - x0) / (x3 - x0)).toBeCloseTo(0.2, 2);
    expect((x2 - x0) / (x3 - x0)).toBeCloseTo(0.4, 2);
    expect((y1 - y0) / (y3 - y0)).toBeCloseTo(0.2, 2);
    expect((y2 - y0) / (y3 - y0)).toBeCloseTo(0.4, 2);
  });

  test("draws no points, one point, and points that are all the same", async () => {
    for (const points of [
      [],
      [[3, 4]],
      [
        [1, 2],
        [2, 2],
      ],
    ] as [number, number][][]) {
      for (const log of [false, true]) {
        const svg = await lineChart(chart({ series: [{ name: "p", points }], logX: log, logY: log }));
        expect(svg).toContain("</svg>");
        expect(svg).not.toMatch(/NaN|Infinity/);
      }
    }
  });
});

describe("axes", () => {
  test("marks are powers of 2 within three powers of ten, else of 10; within a factor of 4 there would be too few", () => {
    const y = { log: true, whole: false };
    expect(axisScale({ least: 20, most: 800 }, y)).toMatchObject({ type: "log", logBase: 2, min: 16, max: 1024 });
    expect(axisScale({ least: 0.02, most: 800 }, y)).toMatchObject({
      logBase: 10,
      min: expect.closeTo(0.01),
      max: 1000,
    });
    expect(axisScale({ least: 20, most: 70 }, y)).toMatchObject({ type: "value", scale: true });
    expect(axisScale({ least: 16, most: 1024 }, y)).toMatchObject({ min: 16, max: 1024 });
  });

  test("the x axis ends where the points do, and begins at 0 where they come near it", () => {
    const x = { log: false, whole: true };
    expect(axisScale({ least: 100, most: 20_000 }, x)).toEqual({ type: "value", min: 0, max: 20_000 });
    expect(axisScale({ least: 900, most: 1000 }, x)).toEqual({ type: "value", min: 900, max: 1000 });
  });

  test("points and extents", () => {
    expect(
      placeable(
        [
          [1, 2],
          [2, Number.POSITIVE_INFINITY],
          [0, 3],
        ],
        { logX: true },
      ),
    ).toEqual([[1, 2]]);
    expect(
      extentOf(
        [
          {
            points: [
              [1, 5],
              [3, 2],
            ],
          },
          { points: [] },
        ],
        1,
      ),
    ).toEqual({ least: 2, most: 5 });
    expect(extentOf([], 0)).toEqual({ least: 0, most: 1 });
  });

  test("marks are short", () => {
    expect([0, 0.05, 0.5, 1.5, 2, 16, 20_000, -4].map(formatMark)).toEqual([
      "0",
      "0.05",
      "0.5",
      "1.5",
      "2",
      "16",
      "20,000",
      "-4",
    ]);
  });
});
