/** Cuts of numbers into groups of three from the right, which an expression could only say in quadratic time. */

/**
 * Cuts behind the groups of every run of numbers: "ab 1234" is "ab 1" and "234". Not before the run, as llama.cpp does it.
 */
export function groupsOfThree(text: string): readonly string[] {
  const words: string[] = [];
  let start = 0;
  for (const run of text.matchAll(/\p{N}+/gu)) {
    const numbers = [...run[0]];
    let end = run.index;
    numbers.forEach((number, i) => {
      end += number.length;
      if ((numbers.length - i - 1) % 3 !== 0) return;
      words.push(text.slice(start, end));
      start = end;
    });
  }
  if (start < text.length) words.push(text.slice(start));
  return words;
}

/** Cuts before every group of three ASCII digits that a run of them ends with: "12345" is "12" and "345". */
export function asciiGroupsOfThree(text: string): readonly string[] {
  const words: string[] = [];
  let start = 0;
  for (const run of text.matchAll(/[0-9]+/g)) {
    const end = run.index + run[0].length;
    for (let at = run.index + (run[0].length % 3); at < end; at += 3) {
      if (at > start) words.push(text.slice(start, at));
      start = at;
    }
  }
  if (start < text.length) words.push(text.slice(start));
  return words;
}
