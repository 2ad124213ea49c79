/** Names that no text has: made of syllables, or of an adjective and a noun as LongEval's lines have them. */
import type { Random } from "../../../util/random.js";

const CONSONANTS = "bdfgklmnprstvz";
const VOWELS = "aeiou";

/** Such as "mabo": two or three syllables; 350,000 of them. */
export function syllables(random: Random): string {
  let name = "";
  for (let count = 2 + random.below(2); count > 0; count--) {
    name += CONSONANTS[random.below(CONSONANTS.length)] + VOWELS[random.below(VOWELS.length)];
  }
  return name;
}

const ADJECTIVES = (
  "able ancient bitter bold brave bright broad calm clever cold cruel curious dark deep dry dull eager early empty fair " +
  "faint famous fierce fine firm gentle glad grand grave grey happy hard heavy honest hollow humble idle keen kind large " +
  "late lazy light little lonely long loud low merry mild modest narrow neat noble odd old pale patient plain poor proud " +
  "quick quiet rare rich rough sad sharp short silent simple sleepy slow small smooth soft solemn stern still strange " +
  "strong sweet swift tall tame thin tired torpid vain vast warm weak weary wide wild wise young"
).split(" ");
const NOUNS = (
  "anchor apple arrow barrel basket bell bird boat bone book bottle branch bread bridge brook candle carriage castle cat " +
  "chain chair church clock cloud coat coin corner crown cup curtain desk dish dog door dream drum dust engine feather " +
  "fence field finger fire flag flower forest fork garden gate ghost glass glove goat gun hammer harbour hat hill horse " +
  "island jewel kettle key kid king kitchen knife ladder lake lamp leaf letter lion mast mirror moon mountain nail needle " +
  "nest oak ocean orchard palace paper pearl pen picture pillow pipe pirate poet pond purse ribbon ring river road rope " +
  "sail ship shoe song spoon star stone storm street sword table tower train valley wheel window wolf"
).split(" ");

/** Such as "torpid-kid". */
export function adjectiveAndNoun(random: Random): string {
  return `${ADJECTIVES[random.below(ADJECTIVES.length)]}-${NOUNS[random.below(NOUNS.length)]}`;
}

/** As many different names as asked for. */
export function distinct(count: number, draw: () => string): string[] {
  const names = new Set<string>();
  while (names.size < count) names.add(draw());
  return [...names];
}

/** A number of so many digits, the first not 0. */
export function digits(count: number, random: Random): string {
  const least = 10 ** (count - 1);
  return String(least + random.below(9 * least));
}
