/**
 * Line charts as SVG: the perplexity along a text, the loss of a training. Drawn by echarts without a browser; it is
 * imported only when a chart is asked for, so commands that draw nothing do not pay for it.
 */
import type { LineSeriesOption } from "echarts/charts";
import type { GridComponentOption, LegendComponentOption, TitleComponentOption } from "echarts/components";
import type { ComposeOption } from "echarts/core";
import { axisScale, type Extent, extentOf, formatMark, placeable } from "./axis-scale.js";

export interface LineSeries {
  /** As the legend has it. */
  readonly name: string;
  /** [x, y] in the order of x; points that an axis has no place for (not finite, or not positive on a log axis) are left out. */
  readonly points: readonly (readonly [number, number])[];
  readonly dashed?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly subtitle?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly LineSeries[];
  readonly logX?: boolean;
  readonly logY?: boolean;
  /** Pixels; default 900 x 480. */
  readonly width?: number;
  readonly height?: number;
}

type Option = ComposeOption<LineSeriesOption | GridComponentOption | LegendComponentOption | TitleComponentOption>;

/** Colours that colour-blind readers tell apart (Okabe and Ito, 2008), without the yellow, which is faint on white. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
const TEXT = "#222222";
const FAINT = "#555555";
const LINES = "#e4e4e4";
const FONT = "Helvetica, Arial, sans-serif";

/** The chart as an SVG document. */
export async function lineChart(chart: LineChart): Promise<string> {
  const [{ init, use }, { LineChart }, { GridComponent, LegendComponent, TitleComponent }, { SVGRenderer }] =
    await Promise.all([
      import("echarts/core"),
      import("echarts/charts"),
      import("echarts/components"),
      import("echarts/renderers"),
    ]);
  use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);
  const { width = 900, height = 480 } = chart;
  const drawn = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    drawn.setOption(chartOption(chart));
    return `${drawn.renderToSVGString()}\n`;
  } finally {
    drawn.dispose();
  }
}

function chartOption(chart: LineChart): Option {
  const series = chart.series.map((line) => ({ ...line, points: placeable(line.points, chart) }));
  const top = chart.subtitle === undefined ? 72 : 92;
  return {
    animation: false,
    backgroundColor: "#ffffff",
    color: COLOURS,
    textStyle: { fontFamily: FONT, color: TEXT },
    title: {
      text: chart.title,
      ...(chart.subtitle !== undefined && { subtext: chart.subtitle }),
      left: 16,
      top: 12,
      itemGap: 6,
      textStyle: { fontSize: 17, color: TEXT, fontFamily: FONT },
      subtextStyle: { fontSize: 12.5, color: FAINT, fontFamily: FONT },
    },
    legend: {
      left: 10,
      top: top - 30,
      itemWidth: 30,
      itemHeight: 8,
      itemGap: 20,
      // The sample in the legend is the line itself, dashes and all.
      icon: "inherit",
      itemStyle: { opacity: 0 },
      textStyle: { fontSize: 13, color: TEXT },
    },
    grid: { left: 70, right: 28, top: top + 22, bottom: 56, outerBoundsMode: "none" },
    xAxis: xAxis(chart, extentOf(series, 0)),
    yAxis: yAxis(chart, extentOf(series, 1)),
    series: series.map(({ name, points, dashed }, at) => ({
      name,
      type: "line",
      data: points,
      // A single point has no line to be seen by.
      symbol: points.length === 1 ? "circle" : "none",
      // Later lines lie above: where they are narrower, lines that coincide are seen as several.
      lineStyle: { width: Math.max(1.5, 3.4 - 0.8 * at), ...(dashed && { type: [7, 5] }) },
      emphasis: { disabled: true },
    })),
  };
}

function xAxis({ xLabel, logX }: LineChart, extent: Extent) {
  return {
    name: xLabel,
    nameLocation: "middle" as const,
    nameGap: 34,
    nameTextStyle: { fontSize: 13, color: FAINT },
    axisLabel: { fontSize: 12, color: FAINT, formatter: formatMark },
    axisLine: { onZero: false, lineStyle: { color: FAINT } },
    splitLine: { show: false },
    ...axisScale(extent, { log: logX === true, whole: true }),
  };
}

/** Its name stands above it and reads from left to right. */
function yAxis({ yLabel, logY }: LineChart, extent: Extent) {
  return {
    name: yLabel,
    nameLocation: "end" as const,
    nameGap: 10,
    nameTextStyle: { fontSize: 13, color: FAINT, align: "left" as const, padding: [0, 0, 0, -54] },
    axisLabel: { fontSize: 12, color: FAINT, formatter: formatMark },
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: LINES } },
    ...axisScale(extent, { log: logY === true, whole: false }),
  };
}
