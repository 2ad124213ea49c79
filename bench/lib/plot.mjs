/** Speed against context length, both engines, as an SVG drawn by echarts without a browser. */
import { writeFileSync } from "node:fs";
import { median } from "./report.mjs";

const WIDTH = 900;
const HEIGHT = 380;
const COLOURS = { Sluice: "#0b7285", "llama.cpp": "#c2571a" };

/** One grid with a curve per engine. */
function curves(index, rows, rateOf) {
  return Object.entries({ Sluice: "sluice", "llama.cpp": "llama.cpp" }).map(([name, engine]) => ({
    name,
    type: "line",
    xAxisIndex: index,
    yAxisIndex: index,
    symbol: name === "Sluice" ? "circle" : "rect",
    symbolSize: 7,
    lineStyle: { width: 2.5 },
    itemStyle: { color: COLOURS[name] },
    data: rows.map((row) => [row.length, Number(rateOf(row, engine).toPrecision(3))]),
  }));
}

/** An axis of lengths, doubling from mark to mark. */
export function lengthAxis(index, rows) {
  return {
    type: "log",
    logBase: 2,
    gridIndex: index,
    min: rows[0].length,
    max: rows.at(-1).length,
    name: "tokens of context",
    nameLocation: "middle",
    nameGap: 28,
    minorSplitLine: { show: false },
    axisLabel: { formatter: (value) => value.toLocaleString("en-US") },
  };
}

const rateAxis = (index) => ({ type: "value", gridIndex: index, min: 0, name: "tokens/s", nameLocation: "end" });

/**
 * @param {string} path
 * @param {{options: object, rows: object[], node?: string}} figures of the `length` benchmark
 */
export async function plotSpeed(path, { options, rows, node = process.version }) {
  const { init } = await import("echarts");
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  const model = `${options.shape.toUpperCase()} parameters, ${options.format.toUpperCase()}`;
  const title = (text, left) => ({ text, left, top: 30, textAlign: "center", textStyle: { fontSize: 14 } });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: [
      {
        text: `${model}, full context, f16 cache, ${options.threads} threads, Node ${node}`,
        left: "center",
        top: 4,
        textStyle: { fontSize: 13, fontWeight: "normal", color: "#555555" },
      },
      title("Decode", "27%"),
      title("Prefill", "77%"),
    ],
    legend: { bottom: 4, data: Object.keys(COLOURS) },
    grid: [
      { left: 60, right: "53%", top: 80, bottom: 80 },
      { left: "55%", right: 40, top: 80, bottom: 80 },
    ],
    xAxis: [lengthAxis(0, rows), lengthAxis(1, rows)],
    yAxis: [rateAxis(0), rateAxis(1)],
    series: [
      ...curves(0, rows, (row, engine) => median(row.decode[engine])),
      ...curves(1, rows, (row, engine) => row.prefill[engine]),
    ],
  });
  writeFileSync(path, `${chart.renderToSVGString()}\n`);
  chart.dispose();
}
