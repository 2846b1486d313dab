import { Launch, launchData } from './launches';
import { ssmParameterOf } from '../graph/template-graph';

/** Which family of operating systems an image is of. */
export type ImageSystem = 'amazon-linux' | 'ubuntu' | 'windows';

/** A machine image by the name of the public SSM parameter that gives its id. */
export interface ImageParameter {
  /** Such as `/aws/service/neuron/dlami/base/ubuntu-24.04/latest/image_id`. */
  readonly name: string;
  /** Undefined where the name does not tell. */
  readonly system?: ImageSystem;
}

const SYSTEMS: readonly [RegExp, ImageSystem][] = [
  [/^\/aws\/service\/ami-windows-latest\//, 'windows'],
  [/^\/aws\/service\/canonical\/ubuntu\//, 'ubuntu'],
  [/^\/aws\/service\/ami-amazon-linux-latest\//, 'amazon-linux'],
  [/^\/aws\/service\/(neuron\/dlami\/[^/]+|ecs\/optimized-ami|eks\/optimized-ami\/[^/]+)\/amazon-linux-2/, 'amazon-linux'],
  [/^\/aws\/service\/neuron\/dlami\/[^/]+\/ubuntu-/, 'ubuntu'],
];

/** The public parameter that gives a launch its image; undefined where the image comes in another way, or it is not known. */
export function imageParameterOf(launch: Launch): ImageParameter | undefined {
  const name = ssmParameterOf(launchData(launch, 'ImageId'));
  return name === undefined || !name.startsWith('/aws/service/') ? undefined : { name, system: SYSTEMS.find(([pattern]) => pattern.test(name))?.[1] };
}
