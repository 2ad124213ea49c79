/** Gates of DuoAttention's heads for models whose heads nobody has looked at: which heads stream decides what a token costs. */

/** Every other head keeps everything, from layer to layer the other ones: half of all, in every layer. */
export function alternatingGates({ layers, kvHeads }) {
  const row = (layer) => Array.from({ length: kvHeads }, (_, head) => (head + layer) % 2);
  return { layers: Array.from({ length: layers }, (_, layer) => row(layer)) };
}

/**
 * Options of `load` by what `--gates` says, a file or one number that all heads have; none where it is absent.
 * @param {(path: string, options: object) => Promise<any>} load the package's
 * @param {string} model path
 * @param {string | undefined} text of the option
 */
export async function gatesOption(load, model, text) {
  if (text === undefined) return {};
  if (!/^[01](\.\d+)?$/.test(text)) return { gates: { gates: text } };
  const loaded = await load(model, { threads: 1, thread: false });
  const { attention } = loaded.runner.decoder.shapes;
  await loaded.dispose();
  const layers = attention.map(({ kvHeads }) => Array.from({ length: kvHeads }, () => Number(text)));
  return { gates: { gates: { layers } } };
}
