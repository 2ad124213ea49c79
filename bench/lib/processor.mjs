/** What the processor is and has, as far as it decides speed here: from Linux's /proc/cpuinfo; elsewhere its name alone. */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Names for readers, by Linux's. */
const FEATURES = {
  avx2: "AVX2",
  fma: "FMA",
  f16c: "F16C",
  avx_vnni: "AVX-VNNI",
  avx512f: "AVX-512",
  avx512_vnni: "AVX-512 VNNI",
};

/** AMD's generations by family and, within one, by ranges of models. */
const ZEN = [
  { family: 23, models: [0x00, 0x2f], name: "Zen" },
  { family: 23, models: [0x30, 0xff], name: "Zen 2" },
  { family: 25, models: [0x10, 0x1f], name: "Zen 4" },
  { family: 25, models: [0x60, 0x7f], name: "Zen 4" },
  { family: 25, models: [0xa0, 0xaf], name: "Zen 4" },
  { family: 25, models: [0x00, 0xff], name: "Zen 3" },
  { family: 26, models: [0x00, 0xff], name: "Zen 5" },
];

function cpuinfo() {
  try {
    return readFileSync("/proc/cpuinfo", "latin1");
  } catch {
    return "";
  }
}

/**
 * @param {string} [text] of /proc/cpuinfo
 * @returns {{name: string, cores: number, generation?: string, features?: string[], lacks?: string[]}}
 */
export function processor(text = cpuinfo()) {
  const field = (name) => new RegExp(`^${name}\\s*:(.*)$`, "m").exec(text)?.[1].trim();
  const name = (field("model name") ?? cpus()[0]?.model ?? "unknown").trim();
  const cores = cpus().length;
  const flags = field("flags")?.split(/\s+/);
  if (!flags) return { name, cores };
  const [family, model] = [Number(field("cpu family")), Number(field("model"))];
  const amd = field("vendor_id") === "AuthenticAMD";
  const zen = ZEN.find((one) => one.family === family && model >= one.models[0] && model <= one.models[1]);
  const split = (wanted) =>
    Object.entries(FEATURES)
      .filter(([flag]) => flags.includes(flag) === wanted)
      .map(([, feature]) => feature);
  return { name, cores, ...(amd && zen && { generation: zen.name }), features: split(true), lacks: split(false) };
}

/** The processor in a line. */
export function processorLine({ name, cores, generation, features, lacks }) {
  const known = features
    ? `: ${features.join(", ")}${lacks.length > 0 ? `; without ${lacks.join(", ")}` : ""}`
    : ": features unknown";
  return `${name}${generation ? ` (${generation})` : ""}, ${cores} cores${known}`;
}
