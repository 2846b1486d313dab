import { App, Stack, aws_ec2 as ec2, aws_ecs as ecs, aws_s3 as s3 } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { ModelArtifacts, Purchase, TrainiumFleetProps } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';
import { EfaPlacementGroup } from '../../src/network';
import { ProblemsError } from '../../src/problems';

/** A stack with a place to run, and the properties of a fleet that is in order. */
export function fixture() {
  const app = new App();
  const stack = new Stack(app, 'Stack', { env: { region: 'us-east-2' } });
  const vpc = ec2.Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: 'vpc-1', availabilityZones: ['us-east-2b'], privateSubnetIds: ['subnet-1'], privateSubnetRouteTableIds: ['rtb-1'],
  });
  const efa = new EfaPlacementGroup(stack, 'Efa', { vpc });
  const props: TrainiumFleetProps = {
    efa,
    model: ModelArchitecture.LLAMA_3_3_70B,
    artifacts: ModelArtifacts.fromBucket(s3.Bucket.fromBucketName(stack, 'Bucket', 'models'), 'llama-3.3-70b/'),
    instanceType: NeuronInstanceType.TRN2_48XLARGE,
    instanceCount: 2,
    purchase: Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b' }),
  };
  return { app, stack, vpc, efa, props };
}

export const image = ecs.ContainerImage.fromRegistry('registry.example/engine:1');
export const only = (stack: Stack, type: string) => Object.values(Template.fromStack(stack).findResources(type))[0];
export const containersOf = (stack: Stack) => {
  const [artifacts, engine] = only(stack, 'AWS::ECS::TaskDefinition').Properties.ContainerDefinitions;
  return { artifacts, engine };
};
export const launchDataOf = (stack: Stack) => only(stack, 'AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData;

export function rulesOf(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    return (error as ProblemsError).problems.map((problem) => problem.rule);
  }
  return [];
}
