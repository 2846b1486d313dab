/**
 * The lower triangle whose product with its transpose is a symmetric matrix, of which the lower half is read.
 *
 * @param tolerance what is left of a direction that the others fix: pivots no further from 0 are taken for it.
 * @returns undefined where the matrix is not positive semidefinite.
 */
export function choleskyFactor(matrix: readonly (readonly number[])[], tolerance = 0): number[][] | undefined {
  const lower: number[][] = [];
  for (const [i, row] of matrix.entries()) {
    const own: number[] = [];
    lower.push(own);
    for (let j = 0; j <= i; j++) {
      let rest = row[j];
      for (let m = 0; m < j; m++) {
        rest -= own[m] * lower[j][m];
      }
      const isFixed = i !== j && lower[j][j] === 0;
      // a direction that the others fix goes together with nothing besides.
      if (i === j ? rest < -tolerance : isFixed && tolerance > 0 && Math.abs(rest) > Math.sqrt(tolerance)) {
        return undefined;
      }
      own.push(i === j ? Math.sqrt(rest <= tolerance ? 0 : rest) : isFixed ? 0 : rest / lower[j][j]);
    }
  }
  return lower;
}
