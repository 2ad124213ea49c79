// Seeded choices: the same case from the same words, on every machine (sfc32 by Chris Doty-Humphrey, seeded by FNV-1a).

export class Random {
  #a;
  #b;
  #c;
  #counter = 1;

  /** @param words what the choices depend on, such as seed, kind and index */
  constructor(...words) {
    const text = words.join(":");
    [this.#a, this.#b, this.#c] = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b].map((start) => hashOf(text, start));
    for (let i = 0; i < 12; i++) this.uint32();
  }

  uint32() {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  double() {
    return this.uint32() / 2 ** 32;
  }

  /** A whole number in [0, bound). */
  below(bound) {
    return Math.floor(this.double() * bound);
  }

  /** A whole number in [least, most]. */
  between(least, most) {
    return least + this.below(most - least + 1);
  }

  chance(probability) {
    return this.double() < probability;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  times(count, make) {
    return Array.from({ length: count }, (_, i) => make(i));
  }
}

function hashOf(text, start) {
  let hash = start;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
