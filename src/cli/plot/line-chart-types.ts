/** A line chart as its parts see it: what was asked for, and the lines as they are drawn. */

export interface LineSeries {
  /** As the legend has it. */
  readonly name: string;
  /** [x, y] in the order of x; points that an axis has no place for (not finite, or not positive on a log axis) are left out. */
  readonly points: readonly (readonly [number, number])[];
  readonly dashed?: boolean;
  /** A mark for each point and no line between them: for few measurements. */
  readonly pointsOnly?: boolean;
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

/** A line as it is drawn. */
export interface DrawnLine {
  readonly name: string;
  readonly points: readonly [number, number][];
  readonly colour: string;
  readonly strokeWidth: number;
  readonly dashes: string | undefined;
  readonly pointsOnly: boolean;
}
