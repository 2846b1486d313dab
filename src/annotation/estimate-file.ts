import { writeFileSync } from 'fs';
import { join } from 'path';
import { attachCustomSynthesis, Stack } from 'aws-cdk-lib';
import { Construct, IConstruct } from 'constructs';
import type { Estimates } from './estimates';
import { roundNumbers } from './summary';

/** Digits of the figures in the file: below what a figure means, above what rounding could hide. */
const SIGNIFICANT_DIGITS = 6;

/** Writes `<stack>.inference-estimate.json` into the cloud assembly: every service of the stack, in full. */
export class EstimateFile {
  /** @param service one of the stack's services: of a stack itself no custom synthesis is called. */
  public static writeWith(service: IConstruct, estimates: Estimates): void {
    attachCustomSynthesis(service as Construct, {
      onSynthesize: (session) => {
        const stack = Stack.of(service);
        const services = Object.fromEntries(estimates.paths.map((path) => [path, estimates._outcomeAt(path)]));
        const content = {
          schema: 'cdk-disaggregated-inference/stack-estimates/v1',
          stack: stack.stackName,
          services: roundNumbers(services, SIGNIFICANT_DIGITS),
        };
        writeFileSync(join(session.outdir, `${stack.artifactId}.inference-estimate.json`), `${JSON.stringify(content, undefined, 2)}\n`);
      },
    });
  }
}
