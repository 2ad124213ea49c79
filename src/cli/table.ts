/** Plain-text tables: columns as wide as their widest cell, two spaces between them. */
import { displayWidth } from "./display-width.js";

export interface Column {
  readonly header: string;
  /** Figures are set to the right. */
  readonly align: "left" | "right";
}

/**
 * @param rows as many cells a row as there are columns
 * @param emphasise applied to the header line
 * @returns lines without newline
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  emphasise: (header: string) => string = (header) => header,
): string[] {
  const widths = columns.map((column, index) =>
    rows.reduce((width, row) => Math.max(width, displayWidth(row[index])), displayWidth(column.header)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const padding = " ".repeat(widths[index] - displayWidth(cell));
        return columns[index].align === "right" ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd();
  return [emphasise(line(columns.map((column) => column.header))), ...rows.map(line)];
}

/** Rows of a name and a text, without a header. */
export function pairLines(rows: readonly (readonly string[])[]): string[] {
  const columns = [
    { header: "", align: "left" },
    { header: "", align: "left" },
  ] as const;
  return tableLines(columns, rows).slice(1);
}
