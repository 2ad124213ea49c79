/**
 * Sinusoidal position embeddings (1706.03762), added to the embedding of the token: element 2i at position t is
 * sin(t / 10000^(2i/C)), element 2i + 1 the cosine of the same angle. There is one for every position.
 */
export interface SinusoidalSpec {
  readonly kind: "sinusoidal";
}

/** Writes the embedding of `position` to out[row]: out is [rows, width]. */
export function writeSinusoid(position: number, width: number, out: Float32Array, row: number): void {
  for (let element = 0; element < width; element++) {
    const angle = position / 10000 ** ((element - (element % 2)) / width);
    out[row * width + element] = element % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  }
}
