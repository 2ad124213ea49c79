/** Heat maps as SVG: numbers from 0 to 1 in rows and columns, the darker the larger, with a scale beside them. */
import { FAINT, FONT, GRID, TEXT } from "./chart-colours.js";
import { element, fitted, type Svg, short, words } from "./svg.js";

export interface HeatMap {
  readonly title: string;
  readonly subtitle?: string;
  /** What rows and columns are. */
  readonly rowName: string;
  readonly columnName: string;
  /** In order from the top; rows may have different numbers of cells. */
  readonly rows: readonly { readonly name: string; readonly values: readonly number[] }[];
}

const MARGIN = { left: 74, top: 96, right: 92, bottom: 28 };
const LEAST_WIDTH = 560;
/** Pixels of a cell: fewer where there are many. */
const [MOST_CELL, LEAST_CELL] = [44, 9];
const ROOM = 900;
/** From white to the blue of the charts. */
const [LIGHT, DARK] = [
  [255, 255, 255],
  [0, 71, 130],
] as const;
const SCALE_STEPS = 20;

/** The map as an SVG document. */
export function heatMap({ title, subtitle, rowName, columnName, rows }: HeatMap): string {
  const columns = rows.reduce((most, { values }) => Math.max(most, values.length), 1);
  const size = (count: number) => Math.max(LEAST_CELL, Math.min(MOST_CELL, ROOM / count));
  const [cellWidth, cellHeight] = [size(columns), Math.min(size(rows.length), 28)];
  const [right, bottom] = [MARGIN.left + columns * cellWidth, MARGIN.top + rows.length * cellHeight];
  const [width, height] = [Math.max(LEAST_WIDTH, right + MARGIN.right), bottom + MARGIN.bottom];
  const text = (x: number, y: number, label: string, more: Record<string, string | number> = {}) =>
    element("text", { x, y, "font-size": 12, ...more }, [words(label)]);
  // Names that would touch each other are left out.
  const every = (cell: number, room: number) => Math.max(1, Math.ceil(room / cell));
  const parts: Svg[] = [
    element("title", {}, [words(title)]),
    element("rect", { width: "100%", height: "100%", fill: "#ffffff" }),
    text(16, 28, fitted(title, 17, width - 32), { "font-size": 17, "font-weight": "bold" }),
    ...(subtitle === undefined
      ? []
      : [text(16, 49, fitted(subtitle, 12.5, width - 32), { "font-size": 12.5, fill: FAINT })]),
    text(MARGIN.left - 8, MARGIN.top - 8, rowName, { "text-anchor": "end", fill: FAINT }),
    text(MARGIN.left, MARGIN.top - 24, columnName, { fill: FAINT }),
  ];
  for (let column = 0; column < columns; column += every(cellWidth, 20)) {
    const place = { "text-anchor": "middle" };
    parts.push(text(MARGIN.left + (column + 0.5) * cellWidth, MARGIN.top - 8, String(column), place));
  }
  rows.forEach(({ name, values }, row) => {
    const y = MARGIN.top + row * cellHeight;
    if (row % every(cellHeight, 14) === 0)
      parts.push(text(MARGIN.left - 8, y + cellHeight / 2 + 4, name, { "text-anchor": "end" }));
    values.forEach((value, column) => {
      const place = { x: MARGIN.left + column * cellWidth, y, width: cellWidth, height: cellHeight };
      const label = `${rowName} ${name}, ${columnName} ${column}: ${value}`;
      parts.push(
        element("rect", { ...place, fill: shade(value), stroke: GRID }, [element("title", {}, [words(label)])]),
      );
    });
  });
  parts.push(...scale(right + 28, MARGIN.top));
  const document = element(
    "svg",
    {
      width,
      height: Math.max(height, MARGIN.top + SCALE_STEPS * SCALE_STEP + MARGIN.bottom),
      viewBox: `0 0 ${short(width)} ${short(Math.max(height, MARGIN.top + SCALE_STEPS * SCALE_STEP + MARGIN.bottom))}`,
      xmlns: "http://www.w3.org/2000/svg",
      role: "img",
      "font-family": FONT,
      fill: TEXT,
    },
    parts,
  );
  return `${document.svg}\n`;
}

const SCALE_STEP = 7;

/** What the shades mean: 1 at the top. */
function scale(x: number, top: number): Svg[] {
  const steps = Array.from({ length: SCALE_STEPS }, (_, step) =>
    element("rect", {
      x,
      y: top + step * SCALE_STEP,
      width: 14,
      height: SCALE_STEP,
      fill: shade(1 - step / (SCALE_STEPS - 1)),
    }),
  );
  const height = SCALE_STEPS * SCALE_STEP;
  const frame = element("rect", { x, y: top, width: 14, height, fill: "none", stroke: GRID });
  const labels = [1, 0.5, 0].map((value) =>
    element("text", { x: x + 20, y: top + (1 - value) * height + 4, "font-size": 12 }, [words(String(value))]),
  );
  return [...steps, frame, ...labels];
}

function shade(value: number): string {
  const part = Math.min(1, Math.max(0, value));
  const channels = LIGHT.map((light, i) => Math.round(light + (DARK[i] - light) * part));
  return `#${channels.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}
