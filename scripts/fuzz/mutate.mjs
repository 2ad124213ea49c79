// Changes to bytes, texts and trees of JSON. All return something new and leave what they were given as it was.
import { hostileJson, hostileScalar, NUMBERS, TEXTS } from "./hostile-values.mjs";

const BYTES = [0, 1, 0x20, 0x22, 0x2c, 0x30, 0x5b, 0x7b, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

/** One to four changes anywhere: flips, overwrites, cuts, insertions, copies of stretches. */
export function mutateBytes(random, bytes) {
  let result = Uint8Array.from(bytes);
  for (let i = random.between(1, 4); i > 0; i--) result = random.pick(BYTE_CHANGES)(random, result);
  return result;
}

const place = (random, { length }) =>
  random.chance(0.4) ? random.below(Math.min(length, 256) + 1) : random.below(length + 1);
const splice = (bytes, at, remove, put) =>
  Uint8Array.from(Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + remove)]));

const BYTE_CHANGES = [
  function flip(random, bytes) {
    const at = place(random, bytes);
    if (at < bytes.length) bytes[at] ^= 1 << random.below(8);
    return bytes;
  },
  function overwrite(random, bytes) {
    const at = place(random, bytes);
    for (let i = at; i < Math.min(bytes.length, at + random.pick([1, 2, 4, 8, 16])); i++) bytes[i] = random.pick(BYTES);
    return bytes;
  },
  function number(random, bytes) {
    const at = place(random, bytes);
    if (at + 8 > bytes.length) return bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const value = random.pick([
      0n,
      1n,
      -1n,
      2n ** 31n,
      2n ** 32n - 1n,
      2n ** 40n,
      2n ** 53n,
      2n ** 63n - 1n,
      BigInt(random.below(5000)),
    ]);
    if (random.chance(0.5)) view.setBigInt64(at, value, true);
    else view.setInt32(at, Number(BigInt.asIntN(32, value)), true);
    return bytes;
  },
  function cut(random, bytes) {
    return bytes.subarray(0, place(random, bytes));
  },
  function remove(random, bytes) {
    return splice(bytes, place(random, bytes), random.pick([1, 2, 8, 100, 1000]), new Uint8Array(0));
  },
  function insert(random, bytes) {
    return splice(
      bytes,
      place(random, bytes),
      0,
      Uint8Array.from(random.times(random.pick([1, 4, 8, 64]), () => random.pick(BYTES))),
    );
  },
  function copy(random, bytes) {
    const from = place(random, bytes);
    const stretch = bytes.slice(from, from + random.pick([4, 16, 64, 1000]));
    return splice(bytes, place(random, bytes), random.chance(0.5) ? stretch.length : 0, stretch);
  },
];

/** A JSON value with one to three nodes replaced, removed, renamed, doubled or moved. */
export function mutateJson(random, value, hostile = hostileJson) {
  let result = structuredClone(value);
  for (let i = random.pick([1, 1, 2, 3]); i > 0; i--) {
    const at = random.pick(placesOf(result));
    if (at === undefined) return hostile(random);
    result = changed(random, result, at, hostile);
  }
  return result;
}

/** Every member of every list and object, long lists by a few of their items. */
export function placesOf(value) {
  const places = [];
  const visit = (parent, depth) => {
    const keys = Array.isArray(parent)
      ? sampleOf(parent)
      : sampleOf(Object.keys(parent)).map((i) => Object.keys(parent)[i]);
    for (const key of keys) {
      places.push({ parent, key, depth });
      const child = parent[key];
      if (typeof child === "object" && child !== null && depth < 40) visit(child, depth + 1);
    }
  };
  if (typeof value === "object" && value !== null) visit(value, 0);
  return places;
}

function sampleOf({ length }) {
  if (length <= 24) return Array.from({ length }, (_, i) => i);
  return Array.from({ length: 24 }, (_, i) => Math.floor((i * length) / 24));
}

function changed(random, root, { parent, key }, hostile) {
  const old = parent[key];
  const isList = Array.isArray(parent);
  switch (random.below(10)) {
    case 0:
      if (isList) parent.splice(key, 1);
      else delete parent[key];
      return root;
    case 1:
      parent[key] = random.pick([[old], { value: old }, String(old), [old, old]]);
      return root;
    case 2:
      if (isList) parent.splice(key, 0, structuredClone(old));
      else put(parent, random.chance(0.5) ? key.toUpperCase() : random.pick(TEXTS), old);
      return root;
    case 3: {
      const other = random.pick(placesOf(root));
      parent[key] = structuredClone(other.parent[other.key]);
      return root;
    }
    case 4:
      if (typeof old === "number") parent[key] = random.pick([-old, old * 2, old + 1, old - 1, old / 3, old * 1e9]);
      else if (typeof old === "string")
        parent[key] = random.pick([old + old, old.slice(1), old.toUpperCase(), ` ${old}`, `${old}\0`]);
      else parent[key] = hostileScalar(random);
      return root;
    case 5:
      parent[key] = random.pick(NUMBERS);
      return root;
    default:
      parent[key] = hostile(random);
      return root;
  }
}

/** Also a key such as `__proto__`, as JSON.parse makes it. */
function put(parent, key, value) {
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

const RAW = [
  "1e999",
  "-1e999",
  "1e-999",
  "-0",
  "123456789012345678901234567890",
  "NaN",
  "Infinity",
  "nul",
  "'a'",
  "0x10",
  "01",
  "[".repeat(20000),
  '{"a":'.repeat(3000),
];

/** JSON as text; now and then with something in it that trees cannot say, or with broken bytes. */
export function jsonBytes(random, value) {
  let text =
    JSON.stringify(value, (_, item) => (typeof item === "number" && !Number.isFinite(item) ? `#${item}#` : item)) ?? "";
  text = text.replaceAll(
    /"#(NaN|-?Infinity)#"/g,
    (_, name) => ({ NaN: "NaN", Infinity: "1e999", "-Infinity": "-1e999" })[name],
  );
  if (random.chance(0.05)) {
    const numbers = [...text.matchAll(/(?<=[:,[])-?\d+(\.\d+)?/g)];
    const match = random.pick(numbers);
    if (match) text = text.slice(0, match.index) + random.pick(RAW) + text.slice(match.index + match[0].length);
  }
  const bytes = new TextEncoder().encode(text);
  return random.chance(0.08) ? mutateBytes(random, bytes) : bytes;
}

/** A text with stretches changed, doubled, cut or taken from elsewhere. */
export function mutateText(random, text, pieces) {
  let result = text;
  for (let i = random.between(1, 3); i > 0; i--) {
    const at = random.below(result.length + 1);
    const length = random.pick([0, 1, 1, 2, 5, 20]);
    const from = random.below(result.length + 1);
    const put = random.pick([
      "",
      result.slice(from, from + random.pick([1, 5, 30, 100])),
      random.pick(pieces),
      random.pick(TEXTS),
      String.fromCharCode(random.below(128)),
    ]);
    result = result.slice(0, at) + put + result.slice(at + length);
  }
  return result;
}
