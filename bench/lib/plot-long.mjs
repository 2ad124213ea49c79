/** Decode speed and bytes of the cache against the tokens that are cached, a line for each row of `long`, as an SVG. */
import { writeFileSync } from "node:fs";
import { lengthAxis } from "./plot.mjs";
import { median } from "./report.mjs";

const WIDTH = 900;
const HEIGHT = 460;
const COLOURS = ["#0b7285", "#2b8a3e", "#5f3dc4", "#1864ab", "#868e96", "#0ca678", "#9c36b5"];
const PEER_COLOURS = ["#c2571a", "#e8a33d"];

/** @param {readonly import("./long-report.mjs").Measured[]} rows */
function series(rows) {
  const names = [...new Set(rows.filter(({ rates }) => rates).map(({ name }) => name))];
  const [own, peers] = [false, true].map((peer) => names.filter((name) => name.startsWith("llama.cpp") === peer));
  const colourOf = (name) => COLOURS[own.indexOf(name)] ?? PEER_COLOURS[peers.indexOf(name)];
  const curve = (index, measure) => (name) => ({
    name,
    type: "line",
    xAxisIndex: index,
    yAxisIndex: index,
    symbol: peers.includes(name) ? "rect" : "circle",
    symbolSize: 7,
    lineStyle: { width: 2.5 },
    itemStyle: { color: colourOf(name) },
    data: rows
      .filter((row) => row.name === name && row.rates)
      .map((row) => [row.length, Number(measure(row).toPrecision(3))]),
  });
  return {
    names,
    all: [
      ...names.map(curve(0, ({ rates }) => median(rates))),
      ...names.map(curve(1, ({ cacheBytes }) => cacheBytes / 1e6)),
    ],
  };
}

/**
 * @param {string} path
 * @param {{shape: string, format: string, threads: number, node: string}} about
 * @param {readonly import("./long-report.mjs").Measured[]} rows
 */
export async function plotLong(path, { shape, format, threads, node }, rows) {
  const { init } = await import("echarts");
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  const { names, all } = series(rows);
  const title = (text, left) => ({ text, left, top: 30, textAlign: "center", textStyle: { fontSize: 14 } });
  const yAxis = (index, name) => ({ type: "log", gridIndex: index, name, nameLocation: "end" });
  const axis = (index) => ({ ...lengthAxis(index, rows), name: "tokens in the cache" });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: [
      {
        text: `${shape.toUpperCase()} parameters, ${format.toUpperCase()}, ${threads} threads, Node ${node}; f16 caches but where named`,
        left: "center",
        top: 4,
        textStyle: { fontSize: 13, fontWeight: "normal", color: "#555555" },
      },
      title("Decode", "27%"),
      title("Cache", "77%"),
    ],
    legend: { bottom: 4, data: names, itemGap: 14, textStyle: { fontSize: 11 } },
    grid: [
      { left: 60, right: "53%", top: 80, bottom: 120 },
      { left: "55%", right: 40, top: 80, bottom: 120 },
    ],
    xAxis: [axis(0), axis(1)],
    yAxis: [yAxis(0, "tokens/s"), yAxis(1, "MB")],
    series: all,
  });
  writeFileSync(path, `${chart.renderToSVGString()}\n`);
  chart.dispose();
}
