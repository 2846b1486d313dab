import {
  CreateStackCommand, DescribeStackEventsCommand, DescribeStackResourcesCommand, DescribeStacksCommand, Stack,
} from '@aws-sdk/client-cloudformation';
import { closest, Comparison } from './compare';
import { Emulator } from './emulators';
import { Limits, MadeBy } from './limits';
import { MAKERS } from './makers';
import { Reader } from './reader';
import { computeReaders } from './readers-compute';
import { networkReaders } from './readers-network';
import { otherReaders } from './readers-others';
import { ExampleStack, outputName, Reduced, resolve, Template, Values } from './templates';

const READERS: Record<string, Reader> = { ...networkReaders, ...computeReaders, ...otherReaders };

/** What can be written and never read: a secret's recipe, and how an update is to be done. */
const WRITE_ONLY = ['AWS::SecretsManager::Secret.GenerateSecretString', 'AWS::EKS::Nodegroup.ForceUpdateEnabled'];

/** What one emulator made of one stack. */
export interface Deployment {
  readonly emulator: Emulator['name'];
  readonly stack: ExampleStack;
  /** The logical ids of the template that CloudFormation got. */
  readonly asked: string[];
  /** The logical ids that CloudFormation lists as complete. */
  readonly listed: string[];
  /** What `Fn::GetAtt` says, by `LogicalId,Attribute`. */
  readonly attributes: Record<string, string>;
  readonly physicalIds: Record<string, string>;
  readonly readBack: ReadBack[];
}

export interface ReadBack extends Comparison {
  readonly logicalId: string;
  readonly type: string;
  readonly by: MadeBy;
}

export async function deploy(emulator: Emulator, stack: ExampleStack, limits: Limits): Promise<Deployment> {
  const aws = emulator.aws(stack.region);
  const reduced = new Reduced(stack.template, limits);
  const created = await createStack(emulator, stack, reduced.template);
  const { StackResources: resources = [] } = await aws.cloudFormation.send(new DescribeStackResourcesCommand({ StackName: stack.name }));
  const skipped = Object.keys(reduced.template.Resources).filter((id) => !resources.some(({ LogicalResourceId }) => LogicalResourceId === id));
  if (skipped.length > 0) {
    const types = new Set(skipped.map((id) => stack.template.Resources[id].Type));
    throw new Error(`${emulator.name} reports success and lists no ${[...types].join(', ')} of ${stack.name}: put them on the list of limits.ts`);
  }
  const physicalIds = Object.fromEntries(resources.map(({ LogicalResourceId, PhysicalResourceId }) => [LogicalResourceId!, PhysicalResourceId!]));
  const outputs = Object.fromEntries((created.Outputs ?? []).map(({ OutputKey, OutputValue }) => [OutputKey!, OutputValue!]));
  const parameters = Object.entries(reduced.template.Parameters ?? {}).map(([name, { Default }]) => [name, Default!]);
  const attributes = Object.fromEntries(reduced.attributes.map(([logicalId, attribute], index) => [
    String([logicalId, attribute]),
    outputs[outputName(index)] ?? limits.attributes[`${stack.template.Resources[logicalId].Type}.${attribute}`]?.(physicalIds[logicalId]),
  ]));
  const values: Values = {
    refs: {
      ...reduced.standIns.refs,
      ...Object.fromEntries(parameters),
      ...physicalIds,
      'AWS::Region': stack.region,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::AccountId': created.StackId!.split(':')[4],
      'AWS::StackName': stack.name,
      'AWS::StackId': created.StackId!,
    },
    attributes: { ...reduced.standIns.attributes, ...attributes },
  };

  const readBack: ReadBack[] = [];
  const read = async (logicalId: string, by: MadeBy, id: string) => {
    const { Type: type, Properties } = stack.template.Resources[logicalId];
    if (READERS[type] === undefined) {
      throw new Error(`nothing here reads ${type} back: add a reader beside the others`);
    }
    const properties = resolve(Properties ?? {}, values);
    const answers = await READERS[type](aws, id, properties);
    const readable = Object.fromEntries(Object.entries(properties).filter(([name]) => !WRITE_ONLY.includes(`${type}.${name}`)));
    readBack.push({ logicalId, type, by, ...closest(readable, answers).comparison });
  };
  for (const logicalId of Object.keys(reduced.template.Resources)) {
    await read(logicalId, 'CloudFormation', values.refs[logicalId]);
  }
  for (const [type, make] of Object.entries(MAKERS).filter(([name]) => limits.madeByApi.includes(name))) {
    for (const [logicalId, { Properties }] of Object.entries(stack.template.Resources).filter(([, { Type }]) => Type === type)) {
      const id = await make(aws, logicalId, resolve(Properties, values));
      // a copy of what CloudFormation has made stays beside it: references mean the original.
      if (!(logicalId in physicalIds)) {
        values.refs[logicalId] = id;
      }
      await read(logicalId, 'API', id);
    }
  }
  return {
    emulator: emulator.name,
    stack,
    asked: Object.keys(reduced.template.Resources),
    listed: resources.filter(({ ResourceStatus }) => ResourceStatus === 'CREATE_COMPLETE').map(({ LogicalResourceId }) => LogicalResourceId!),
    attributes,
    physicalIds,
    readBack,
  };
}

/** Creates a stack and waits until CloudFormation is done. */
async function createStack(emulator: Emulator, { name, region }: { name: string; region: string }, template: Template): Promise<Stack> {
  const { cloudFormation } = emulator.aws(region);
  const body = JSON.stringify(template);
  // ministack takes no more of a TemplateBody than AWS does; moto looks for a TemplateURL at amazonaws.com alone.
  const source = emulator.name === 'moto' ? { TemplateBody: body } : { TemplateURL: await emulator.upload(`${name}.json`, body) };
  try {
    await cloudFormation.send(new CreateStackCommand({ StackName: name, ...source, Capabilities: ['CAPABILITY_NAMED_IAM'], DisableRollback: true }));
  } catch (error) {
    throw new Error(`${emulator.name} refuses ${name}: ${(error as Error).message.slice(-3000)}\n${emulator.lastLines()}`);
  }
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline) {
    const { Stacks: [stack] = [] } = await cloudFormation.send(new DescribeStacksCommand({ StackName: name }));
    if (stack.StackStatus === 'CREATE_COMPLETE') {
      return stack;
    }
    if (!stack.StackStatus!.endsWith('_IN_PROGRESS')) {
      const { StackEvents = [] } = await cloudFormation.send(new DescribeStackEventsCommand({ StackName: name }));
      const reasons = StackEvents.filter(({ ResourceStatus }) => ResourceStatus!.endsWith('_FAILED'))
        .map(({ LogicalResourceId, ResourceStatusReason }) => `${LogicalResourceId}: ${ResourceStatusReason}`);
      throw new Error(`${emulator.name} does not make ${name}, ${stack.StackStatus}: ${reasons.join('\n')}`);
    }
    await new Promise((later) => setTimeout(later, 100));
  }
  throw new Error(`${emulator.name} is not done with ${name}:\n${emulator.lastLines()}`);
}

/** The types that the CloudFormation of an emulator makes out of those given, each without any property. */
export async function typesMade(emulator: Emulator, types: string[]): Promise<string[]> {
  const resources = Object.fromEntries(types.map((type) => [type.replace(/\W/g, ''), { Type: type, Properties: {} }]));
  const name = 'Unsupported';
  try {
    await createStack(emulator, { name, region: 'us-east-2' }, { Resources: resources });
  } catch (error) {
    // ministack names all that it does not know, and makes nothing.
    const unknown = /Unrecognized resource types: \[([^\]]*)\]/.exec((error as Error).message)?.[1].split(', ');
    if (unknown === undefined) {
      throw error;
    }
    return types.filter((type) => !unknown.includes(type));
  }
  const { StackResources = [] } = await emulator.aws('us-east-2').cloudFormation.send(new DescribeStackResourcesCommand({ StackName: name }));
  return StackResources.map(({ ResourceType }) => ResourceType!);
}
