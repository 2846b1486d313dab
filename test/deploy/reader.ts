import { Aws } from './emulators';

/**
 * What a service says of a resource, in the words of CloudFormation where the API has others.
 *
 * Several answers are candidates, such as the rules of a security group, of which one must be what the template says.
 *
 * @param id the physical id in the stack.
 * @param properties the template's, with all references resolved.
 */
export type Reader = (aws: Aws, id: string, properties: any) => Promise<unknown[]>;
