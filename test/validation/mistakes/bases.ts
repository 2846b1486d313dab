import { bedrockCallers } from './bases/bedrock-callers';
import { ecsService } from './bases/ecs-service';
import { eksCluster } from './bases/eks-cluster';
import { otherServices } from './bases/other-services';
import { examples } from '../../conformance/examples';
import { Template, efaFleet } from '../efa-fleet';

const written: { [name: string]: () => Template } = { efaFleet, ecsService, eksCluster, bedrockCallers, otherServices };

const texts = new Map([
  ...[...examples()].map(([name, template]): [string, string] => [name, JSON.stringify(template)]),
  ...Object.entries(written).map(([name, make]): [string, string] => [name, JSON.stringify(make())]),
]);

/** Names of the templates that are in order: every example, synthesized, and five written by hand. */
export const BASES = [...texts.keys()];

/** A copy of a template that is in order, to make a mistake in. */
export function base(name: string): Template {
  return JSON.parse(texts.get(name)!);
}
