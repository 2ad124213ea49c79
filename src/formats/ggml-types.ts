/** Names of ggml's tensor types that Sluice does not read, for messages and listings (enum ggml_type in ggml.h). */
const NAMES: Readonly<Record<number, string>> = {
  4: "q4_2",
  5: "q4_3",
  9: "q8_1",
  15: "q8_k",
  16: "iq2_xxs",
  17: "iq2_xs",
  18: "iq3_xxs",
  19: "iq1_s",
  21: "iq3_s",
  22: "iq2_s",
  23: "iq4_xs",
  24: "i8",
  25: "i16",
  26: "i32",
  27: "i64",
  28: "f64",
  29: "iq1_m",
  31: "q4_0_4_4",
  32: "q4_0_4_8",
  33: "q4_0_8_8",
  34: "tq1_0",
  35: "tq2_0",
  40: "nvfp4",
};

/** "nvfp4 (ggml type 40)", or "ggml type 99" where the id has no name. */
export function ggmlTypeName(id: number): string {
  return Object.hasOwn(NAMES, id) ? `${NAMES[id]} (ggml type ${id})` : `ggml type ${id}`;
}
