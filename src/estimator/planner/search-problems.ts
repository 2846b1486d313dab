import { Hardware } from '../../hardware';
import { Problem } from '../../problems';
import { PURCHASE_OPTIONS } from '../cost';
import { DeploymentSpec } from '../deployment-spec';
import { specProblems } from '../spec-check';
import { FleetSearchOptions } from './fleet-search';

/** Ways of serving. */
export const SERVINGS = ['disaggregated', 'aggregated'];

/**
 * Everything that is wrong with what a search is asked for.
 */
export function searchProblems(spec: DeploymentSpec, options: FleetSearchOptions): Problem[] {
  // counts are searched for, and some of what is considered has a link
  const problems = specProblems(spec).filter(({ rule }) => rule !== 'CountWithoutObjective' && rule !== 'LinkWithoutPrefill');
  if ((Object(spec) as Partial<DeploymentSpec>).objective === undefined) {
    problems.push({ rule: 'SearchWithoutObjective', path: 'objective', message: 'nothing is promised that a fleet could be searched for', mend: 'give an objective' });
  }
  const { hardware, purchaseOptions, tensorParallelDegrees, servings } = options;
  oneOf(problems, 'hardware', hardware, Hardware.names(), (name) => Hardware.nearest(name));
  oneOf(problems, 'purchaseOptions', purchaseOptions, PURCHASE_OPTIONS);
  oneOf(problems, 'servings', servings, SERVINGS);
  tensorParallelDegrees?.forEach((degree, i) => {
    if (!(Number.isInteger(degree) && degree > 0)) {
      problems.push({
        rule: 'CountNotPositive',
        path: `tensorParallelDegrees[${i}]`,
        value: String(degree),
        message: 'this is not a whole number from 1',
        mend: 'give a degree such as 8',
      });
    }
  });
  for (const [path, given] of Object.entries({ hardware, purchaseOptions, tensorParallelDegrees, servings })) {
    if (given?.length === 0) {
      problems.push({ rule: 'SearchOptionEmpty', path, value: '[]', message: 'nothing is left to consider', mend: 'give at least one, or leave it out' });
    }
  }
  return problems;
}

function oneOf(
  problems: Problem[], path: string, given: string[] | undefined, known: string[], nearest: (name: string) => string[] = () => [],
): void {
  given?.forEach((name, i) => {
    if (!known.includes(name)) {
      const close = nearest(String(name));
      problems.push({
        rule: 'SearchOptionUnknown',
        path: `${path}[${i}]`,
        value: JSON.stringify(name) ?? 'undefined',
        message: 'there is nothing of this name',
        mend: `use ${(close.length > 0 ? close : known).join(', ')}`,
      });
    }
  });
}
