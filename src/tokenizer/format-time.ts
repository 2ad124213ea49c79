/** Python's strftime as glibc has it in the C locale: English, local time. */
const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

interface Field {
  /** A number is padded to `width` with zeros, or with spaces; a text stays. */
  readonly of: (time: Date) => number | string;
  readonly width?: number;
  readonly fill?: " ";
}

const number = (width: number, of: (time: Date) => number): Field => ({ width, of });
const spaced = (of: (time: Date) => number): Field => ({ width: 2, fill: " ", of });
const text = (of: (time: Date) => string): Field => ({ of });
const composed = (format: string): Field => ({ of: (time) => formatTime(time, format) });
const hour12 = (time: Date) => time.getHours() % 12 || 12;
const half = (time: Date) => (time.getHours() < 12 ? "AM" : "PM");

const FIELDS: Readonly<Record<string, Field>> = {
  a: text((time) => DAYS[time.getDay()].slice(0, 3)),
  A: text((time) => DAYS[time.getDay()]),
  b: text((time) => MONTHS[time.getMonth()].slice(0, 3)),
  B: text((time) => MONTHS[time.getMonth()]),
  c: composed("%a %b %e %H:%M:%S %Y"),
  C: number(2, (time) => Math.floor(time.getFullYear() / 100)),
  d: number(2, (time) => time.getDate()),
  D: composed("%m/%d/%y"),
  e: spaced((time) => time.getDate()),
  // Python's %f: a Date knows milliseconds.
  f: number(6, (time) => time.getMilliseconds() * 1000),
  F: composed("%Y-%m-%d"),
  g: number(2, (time) => isoWeek(time).year % 100),
  G: number(1, (time) => isoWeek(time).year),
  h: text((time) => MONTHS[time.getMonth()].slice(0, 3)),
  H: number(2, (time) => time.getHours()),
  I: number(2, hour12),
  j: number(3, dayOfYear),
  k: spaced((time) => time.getHours()),
  l: spaced(hour12),
  m: number(2, (time) => time.getMonth() + 1),
  M: number(2, (time) => time.getMinutes()),
  n: text(() => "\n"),
  p: text(half),
  P: text((time) => half(time).toLowerCase()),
  r: composed("%I:%M:%S %p"),
  R: composed("%H:%M"),
  s: number(1, (time) => Math.floor(time.getTime() / 1000)),
  S: number(2, (time) => time.getSeconds()),
  t: text(() => "\t"),
  T: composed("%H:%M:%S"),
  u: number(1, (time) => time.getDay() || 7),
  U: number(2, (time) => Math.floor((dayOfYear(time) + 6 - time.getDay()) / 7)),
  V: number(2, (time) => isoWeek(time).week),
  w: number(1, (time) => time.getDay()),
  W: number(2, (time) => Math.floor((dayOfYear(time) + 6 - ((time.getDay() + 6) % 7)) / 7)),
  x: composed("%m/%d/%y"),
  X: composed("%H:%M:%S"),
  y: number(2, (time) => time.getFullYear() % 100),
  Y: number(1, (time) => time.getFullYear()),
  // Python's datetime without a time zone, as `strftime_now` uses it, shows none.
  z: text(() => ""),
  Z: text(() => ""),
  "%": text(() => "%"),
};

/** `time` as `format` says; unknown fields stay as they are. Flags: `-` no padding, `_` spaces, `0` zeros, `^` capitals, `#` the other case. */
export function formatTime(time: Date, format: string): string {
  return format.replace(
    /%([-_0^#]*)(\d{0,3})[EO]?([A-Za-z%])/g,
    (whole, flags: string, width: string, letter: string) => {
      const field = Object.hasOwn(FIELDS, letter) ? FIELDS[letter] : undefined;
      return field ? written(field, time, flags, width, letter) : whole;
    },
  );
}

function written(field: Field, time: Date, flags: string, width: string, letter: string): string {
  const value = field.of(time);
  const numeric = typeof value === "number";
  const padding = [...flags].reverse().find((flag) => "-_0".includes(flag));
  const fill = padding === "_" ? " " : padding === "0" ? "0" : numeric ? (field.fill ?? "0") : " ";
  const size = width === "" ? (numeric && padding !== "-" ? (field.width ?? 1) : 0) : Number(width);
  const padded = String(value).padStart(size, fill);
  if (flags.includes("^")) return padded.toUpperCase();
  if (!flags.includes("#")) return padded;
  return letter === "p" ? padded.toLowerCase() : padded.toUpperCase();
}

function dayOfYear(time: Date): number {
  const day = Date.UTC(time.getFullYear(), time.getMonth(), time.getDate());
  return Math.round((day - Date.UTC(time.getFullYear(), 0, 1)) / 86_400_000) + 1;
}

/** The week that the year's Thursday is in. */
function isoWeek(time: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(Date.UTC(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7)));
  const year = thursday.getUTCFullYear();
  return { year, week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / 604_800_000) + 1 };
}
