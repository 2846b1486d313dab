import { App, Stack, aws_ec2 as ec2, aws_s3 as s3 } from 'aws-cdk-lib';
import { ModelArtifacts, Purchase, TrainiumFleetProps } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ModelArchitecture } from '../../src/model';
import { EfaPlacementGroup } from '../../src/network';

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
