import { describe, expect, test } from "vitest";
import {
  type AxisOptions,
  axisScale,
  type Extent,
  extentOf,
  formatMark,
  placeable,
} from "../../src/cli/plot/axis-scale.js";
import { spread } from "../../src/cli/plot/end-labels.js";
import { lineChart } from "../../src/cli/plot/line-chart.js";
import type { LineChart } from "../../src/cli/plot/line-chart-types.js";

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
    // Both begin at (0, 8): 70 pixels from the left; the middle of the second is half-way to the right edge, 64 pixels in.
    expect(held.numbers.slice(0, 2)).toEqual(train.numbers.slice(0, 2));
    expect(held.numbers[0]).toBe(70);
    expect(held.numbers[2]).toBeCloseTo((70 + 900 - 64) / 2, 0);
    // Down the page is a larger y.
    expect(held.numbers[3]).toBeGreaterThan(held.numbers[1]);
  });

  test("sixteen lines differ, in their colour or in their dashes", async () => {
    const points: [number, number][] = [
      [0, 1],
      [5, 2],
    ];
    const series = Array.from({ length: 16 }, (_, i) => ({ name: `line ${i}`, points }));
    const svg = await lineChart(chart({ series }));
    const drawn = (svg.match(/<path [^>]*fill="none"[^>]*>/g) ?? []).map((path) => {
      const of = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(path)?.[1];
      return `${of("stroke")} ${of("stroke-dasharray")}`;
    });
    expect(new Set(drawn).size).toBe(16);
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

  test("names of models and texts cannot break the document", async () => {
    const name = '</text><script>alert("1")</script>\u0000\u001b[31m\ud800 & "quoted"';
    const svg = await lineChart(chart({ title: name, subtitle: name, series: [{ name, points: [[1, 2]] }] }));
    expect(svg).not.toMatch(/<script|\p{Surrogate}/u);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has none of them.
    expect(svg).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(svg).toContain("&lt;/text&gt;&lt;script&gt;");
    // Each element that is opened is closed.
    const opened = svg.match(/<[a-z]+(?: [^>]*[^/])?>/g) ?? [];
    expect(opened).toHaveLength(svg.match(/<\/[a-z]+>/g)?.length ?? 0);
  });

  test("a legend of many names takes as many rows as it needs, and the lines begin below it", async () => {
    const series = Array.from({ length: 12 }, (_, at) => ({
      name: `a long name of a line, number ${at}`,
      points: [
        [0, 1],
        [1, 2 + at],
      ] as const,
    }));
    const svg = await lineChart(chart({ series }));
    const heights = [...svg.matchAll(/<text x="[\d.]+" y="([\d.]+)" font-size="13">a long name/g)].map(([, y]) =>
      Number(y),
    );
    expect(new Set(heights).size).toBeGreaterThan(2);
    const points = [...svg.matchAll(/<path d="M[\d.]+,([\d.]+)L[\d.]+,([\d.]+)"/g)].flatMap(([, a, b]) => [
      Number(a),
      Number(b),
    ]);
    expect(points).toHaveLength(24);
    expect(Math.min(...points)).toBeGreaterThan(Math.max(...heights));
  });

  test("labels stand where no line is, also those of lines that end early", () => {
    const svg = lineChart(
      chart({
        series: [
          {
            name: "short",
            points: [
              [0, 1],
              [10, 4],
            ],
          },
          {
            name: "long",
            points: [
              [0, 1],
              [100, 5],
            ],
          },
        ],
      }),
    );
    const labels = [...svg.matchAll(/<text x="([\d.]+)" y="[\d.]+" font-size="11.5"/g)].map(([, x]) => Number(x));
    // 900 wide with 64 at the right.
    expect(labels).toEqual([842, 842]);
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
  const room = { count: 4, range: [0, 500] } as const;
  const marks = (extent: Extent, options: Pick<AxisOptions, "log" | "whole">) =>
    axisScale(extent, { ...options, ...room }).marks.map(({ text }) => text);

  test("marks are powers of 2 within three powers of ten, else of 10; within a factor of 4 there would be too few", () => {
    const y = { log: true, whole: false };
    expect(marks({ least: 20, most: 800 }, y)).toEqual(["16", "32", "64", "128", "256", "512", "1,024"]);
    expect(marks({ least: 0.02, most: 800 }, y)).toEqual(["0.01", "0.1", "1", "10", "100", "1,000"]);
    expect(marks({ least: 20, most: 70 }, y)).toEqual(["20", "30", "40", "50", "60", "70"]);
    expect(marks({ least: 16, most: 1024 }, y)).toEqual(["16", "32", "64", "128", "256", "512", "1,024"]);
  });

  test("the x axis ends where the points do, and begins at 0 where they come near it", () => {
    const x = { log: false, whole: true };
    const { place } = axisScale({ least: 100, most: 20_000 }, { ...x, ...room });
    expect([place(0), place(20_000)]).toEqual(room.range);
    const narrow = axisScale({ least: 900, most: 1000 }, { ...x, ...room });
    expect([narrow.place(900), narrow.place(1000)]).toEqual(room.range);
  });

  test("marks are round numbers within the axis: none stands oddly at its end", () => {
    const x = { log: false, whole: true };
    expect(marks({ least: 100, most: 19_873 }, x)).toEqual(["0", "5,000", "10,000", "15,000"]);
    expect(marks({ least: 1, most: 4_819_686 }, { log: true, whole: true })).toEqual([
      "1",
      "10",
      "100",
      "1,000",
      "10,000",
      "100,000",
      "1,000,000",
    ]);
    // Digits as many as the distance of two marks needs, in all of them.
    expect(marks({ least: 0.9991, most: 0.9999 }, x)).toEqual(["0.9992", "0.9994", "0.9996", "0.9998"]);
    expect(marks({ least: 0, most: 3e15 }, x)).toEqual(["0", "1e15", "2e15", "3e15"]);
    // Up an axis, lines end at marks.
    expect(marks({ least: 0.3, most: 5.7 }, { log: false, whole: false })).toEqual(["0", "2", "4", "6"]);
  });

  test("labels at the ends of lines do not cover each other, and stay on the picture", () => {
    const area = { top: 50, bottom: 400 };
    expect(spread([100, 103, 300], area)).toEqual([100, 113, 300]);
    expect(spread([399, 399.5, 200], area)).toEqual([387, 400, 200]);
    expect(spread([], area)).toEqual([]);
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
