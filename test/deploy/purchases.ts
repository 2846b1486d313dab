import { App, Stack, aws_ec2 as ec2, aws_ecs as ecs, aws_s3 as s3 } from 'aws-cdk-lib';
import { ExampleStack } from './templates';
import {
  EfaPlacementGroup, ModelArchitecture, ModelArtifacts, NeuronInstanceType, Purchase, TrainiumDecodeFleet, TrainiumPrefillFleet,
} from '../../src';

/** What no example has: fleets in a placement group, bought on demand and by reservation, and a Capacity Block that says when it ends. */
export function purchasesStack(): ExampleStack {
  const app = new App();
  const stack = new Stack(app, 'Purchases', { env: { region: 'us-east-2' } });
  const availabilityZone = 'us-east-2b';
  const vpc = new ec2.Vpc(stack, 'Vpc', { availabilityZones: [availabilityZone], natGateways: 1 });
  const shared = {
    model: ModelArchitecture.LLAMA_3_1_8B,
    artifacts: ModelArtifacts.fromBucket(s3.Bucket.fromBucketName(stack, 'Models', 'amzn-s3-demo-bucket'), 'llama/'),
    efa: new EfaPlacementGroup(stack, 'Efa', { vpc, availabilityZone }),
    cluster: new ecs.Cluster(stack, 'Cluster', { vpc }),
    // the default image does not run on Trainium1.
    engine: { image: ecs.ContainerImage.fromRegistry('registry.example/vllm-neuron:1') },
  };
  new TrainiumPrefillFleet(stack, 'OnDemand', {
    ...shared,
    instanceType: NeuronInstanceType.TRN1_32XLARGE,
    instanceCount: 1,
    purchase: Purchase.onDemand({ availabilityZone }),
  });
  new TrainiumDecodeFleet(stack, 'Reserved', {
    ...shared,
    instanceType: NeuronInstanceType.TRN1_32XLARGE,
    instanceCount: 2,
    purchase: Purchase.reservation({ reservationId: 'cr-0123456789abcdef1', availabilityZone }),
  });
  new TrainiumDecodeFleet(stack, 'Block', {
    ...shared,
    instanceType: NeuronInstanceType.TRN2_48XLARGE,
    instanceCount: 1,
    purchase: Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone, endsAt: '2027-01-31T11:30:00Z' }),
  });
  return { name: stack.stackName, region: stack.region, template: app.synth().getStackByName(stack.stackName).template };
}
