/** Letters that say which names are meant that begin with them. */
const LEAST_LETTERS = 3;

/**
 * The names that are closest to a mistyped one, for messages.
 *
 * Closest by edit distance, ties by name; names that share less than half of their letters are left out, unless they begin with what was given.
 *
 * @param name what was given.
 * @param names what exists.
 * @returns at most three names.
 */
export function nearestNames(name: string, names: string[]): string[] {
  const given = name.toLowerCase();
  return names
    .map((candidate) => ({ candidate, distance: editDistance(given, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance * 2 <= Math.max(given.length, candidate.length)
      || (given.length >= LEAST_LETTERS && candidate.toLowerCase().startsWith(given)))
    .sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

// Levenshtein's distance, one row at a time
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
