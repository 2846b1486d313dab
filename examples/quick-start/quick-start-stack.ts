import { join } from 'path';
import { Duration, Stack } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import {
  Decode, DisaggregatedInference, ModelArchitecture, ModelArtifacts, NeuronInstanceType, Prefill, Purchase, Workload,
} from 'cdk-disaggregated-inference';

/** Llama 3.3 70B for an hour of real conversations: Trainium2 reads the prompts, Trainium2 writes the answers, one Capacity Block holds both. */
export class QuickStartStack extends Stack {
  public readonly chat: DisaggregatedInference;

  constructor(scope: Construct, id: string) {
    super(scope, id);

    // your Capacity Block and the bucket with the model's weights.
    const block = Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone: 'us-east-2b' });
    const trainium2 = { instanceType: NeuronInstanceType.TRN2_48XLARGE, purchase: block };
    const models = Bucket.fromBucketName(this, 'Models', 'amzn-s3-demo-bucket');

    this.chat = new DisaggregatedInference(this, 'Chat', {
      model: ModelArchitecture.LLAMA_3_3_70B,
      workload: Workload.fromTrace(join(__dirname, 'azure-2023-conv.csv')),
      objective: { timeToFirstToken: Duration.millis(900), timePerOutputToken: Duration.millis(30) },
      prefill: Prefill.trainium(trainium2),
      decode: Decode.trainium(trainium2),
      artifacts: ModelArtifacts.fromBucket(models, 'llama-3.3-70b/'),
    });
  }
}
