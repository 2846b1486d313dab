import { Stack, aws_ec2 as ec2, aws_eks_v2 as eks, aws_iam as iam } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import {
  EfaInterfaces, EfaPlacementGroup, EfaPlacementStrategy, NeuronInstanceType, Purchase, PurchasedCapacity,
} from 'cdk-disaggregated-inference';

/** A cluster of your own: a managed node group of Trainium2 on a Capacity Block, whose launch template is written by hand and gets its EFA part from mixins. */
export class EksNodeGroupStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id, { env: { region: 'us-east-2' } });

    const availabilityZone = 'us-east-2b';
    const vpc = new ec2.Vpc(this, 'Vpc', { availabilityZones: ['us-east-2a', availabilityZone], natGateways: 1 });
    const cluster = new eks.Cluster(this, 'Cluster', {
      vpc,
      version: eks.KubernetesVersion.V1_34,
      defaultCapacityType: eks.DefaultCapacityType.NODEGROUP,
      defaultCapacity: 0,
    });
    const nodeRole = new iam.Role(this, 'NodeRole', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: ['AmazonEKSWorkerNodePolicy', 'AmazonEKS_CNI_Policy', 'AmazonEC2ContainerRegistryPullOnly']
        .map((name) => iam.ManagedPolicy.fromAwsManagedPolicyName(name)),
    });

    // the node group goes where the Capacity Block is; instances of a block are close together without a placement group.
    const instanceType = NeuronInstanceType.TRN2_48XLARGE;
    const efa = new EfaPlacementGroup(this, 'Efa', { vpc, availabilityZone, strategy: EfaPlacementStrategy.none() });
    const launchTemplate = new ec2.LaunchTemplate(this, 'Nodes', {
      instanceType: new ec2.InstanceType(instanceType.name),
      // with a launch template EKS adds no security group of its own: nodes reach the control plane by that of the cluster.
      securityGroup: cluster.clusterSecurityGroup,
      blockDevices: [{ deviceName: '/dev/xvda', volume: ec2.BlockDeviceVolume.ebs(200, { encrypted: true }) }],
      requireImdsv2: true,
      httpPutResponseHopLimit: 2,
    });
    launchTemplate.with(
      new EfaInterfaces({ instanceType, efa }),
      new PurchasedCapacity(Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0', availabilityZone })),
    );
    cluster.addNodegroupCapacity('Trainium', {
      nodeRole,
      amiType: eks.NodegroupAmiType.AL2023_X86_64_NEURON,
      capacityType: eks.CapacityType.CAPACITY_BLOCK,
      launchTemplateSpec: { id: launchTemplate.launchTemplateId!, version: launchTemplate.latestVersionNumber },
      subnets: { subnets: efa.subnets },
      minSize: 0,
      desiredSize: 2,
      maxSize: 2,
    });
  }
}
