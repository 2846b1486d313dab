/** The largest of some numbers; undefined when there is none or one is not known. */
export function largest(numbers: readonly (number | undefined)[] | undefined): number | undefined {
  return numbers && numbers.length > 0 && numbers.every((number) => number !== undefined) ? Math.max(...numbers as number[]) : undefined;
}

/** The sum of some numbers; undefined when there is none or one is not known. */
export function sum(numbers: readonly (number | undefined)[]): number | undefined {
  return numbers.length === 0 || numbers.includes(undefined) ? undefined : (numbers as number[]).reduce((total, number) => total + number, 0);
}
