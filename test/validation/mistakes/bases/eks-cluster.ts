import { assumedBy, att, efaOnlyInterfaces, fabric, latest, privateNetwork, ref } from './network';
import { Template } from '../../efa-fleet';

const KUBECTL = {
  ServiceToken: 'arn:aws:lambda:us-east-2:123456789012:function:kubectl',
  ClusterName: ref('Cluster'),
  RoleArn: 'arn:aws:iam::123456789012:role/kubectl',
};

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Sets a limit of the pages that each node keeps for the Neuron runtime. */
const BOOT_SCRIPT = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="BOOT"

--BOOT
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash
sysctl -w vm.nr_hugepages=5128

--BOOT--
`;

const NODE_CONFIG = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="NODE"

--NODE
Content-Type: application/node.eks.aws

---
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster:
    name: serving
    apiServerEndpoint: https://EXAMPLE.gr7.us-east-2.eks.amazonaws.com
    certificateAuthority: RVhBTVBMRQ==
    cidr: 172.20.0.0/16

--NODE--
`;

const PLUGIN = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'neuron-device-plugin', namespace: 'kube-system' },
  spec: {
    selector: { matchLabels: { name: 'neuron-device-plugin' } },
    template: {
      metadata: { labels: { name: 'neuron-device-plugin' } },
      spec: {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{
                matchExpressions: [{ key: 'node.kubernetes.io/instance-type', operator: 'In', values: ['inf2.xlarge', 'trn1.32xlarge'] }],
              }],
            },
          },
        },
        containers: [{ name: 'plugin', image: '790709498068.dkr.ecr.us-west-2.amazonaws.com/neuron-device-plugin:1.0.9043.0' }],
      },
    },
  },
};

const DECODE = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'decode' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'decode' } },
    template: {
      metadata: { labels: { app: 'decode' } },
      spec: {
        nodeSelector: { 'node.kubernetes.io/instance-type': 'trn1.32xlarge' },
        containers: [{
          name: 'vllm',
          image: '123456789012.dkr.ecr.us-east-2.amazonaws.com/vllm:1',
          resources: {
            limits: { 'aws.amazon.com/neuron': 16, 'vpc.amazonaws.com/efa': 8, 'hugepages-2Mi': '5128Mi', 'memory': '256Gi' },
            requests: { 'aws.amazon.com/neuron': 16, 'vpc.amazonaws.com/efa': 8, 'hugepages-2Mi': '5128Mi', 'memory': '256Gi' },
          },
        }],
      },
    },
  },
};

/**
 * A cluster in private subnets with two managed node groups: trn1.32xlarge with EFA and the image of EKS, and inf2.xlarge with an image of
 * its own. The device plugins, a DRA claim and a deployment are manifests and charts, as the CDK writes them.
 */
export function eksCluster(): Template {
  const nodegroup = (template: string, size: number) => ({
    ClusterName: ref('Cluster'),
    NodeRole: att('NodeRole', 'Arn'),
    Subnets: [ref('Subnet')],
    ScalingConfig: { MinSize: 0, DesiredSize: 1, MaxSize: size },
    LaunchTemplate: { Id: ref(template), Version: latest(template) },
  });
  const metadataOptions = { HttpTokens: 'required', HttpPutResponseHopLimit: 2 };
  const volumes = [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 200, VolumeType: 'gp3', Encrypted: true } }];
  return {
    Resources: {
      ...privateNetwork(['ec2', 'ecr.api', 'ecr.dkr', 'sts', 'eks']),
      ...fabric(),
      Cluster: {
        Type: 'AWS::EKS::Cluster',
        Properties: {
          Name: 'serving',
          RoleArn: 'arn:aws:iam::123456789012:role/cluster',
          Version: '1.34',
          ResourcesVpcConfig: { SubnetIds: [ref('Subnet'), ref('OtherZoneSubnet')] },
        },
      },
      Cni: { Type: 'AWS::EKS::Addon', Properties: { ClusterName: ref('Cluster'), AddonName: 'vpc-cni', AddonVersion: 'v1.20.4-eksbuild.2' } },
      NodeRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: assumedBy('ec2.amazonaws.com'),
          ManagedPolicyArns: ['AmazonEKSWorkerNodePolicy', 'AmazonEKS_CNI_Policy', 'AmazonEC2ContainerRegistryPullOnly'].map((name) => `arn:aws:iam::aws:policy/${name}`),
        },
      },
      TrainiumTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'trn1.32xlarge',
            MetadataOptions: metadataOptions,
            BlockDeviceMappings: volumes,
            UserData: base64(BOOT_SCRIPT),
            NetworkInterfaces: efaOnlyInterfaces(8),
          },
        },
      },
      TrainiumNodes: { Type: 'AWS::EKS::Nodegroup', Properties: { ...nodegroup('TrainiumTemplate', 2), AmiType: 'AL2023_x86_64_NEURON' } },
      InferentiaTemplate: {
        Type: 'AWS::EC2::LaunchTemplate',
        Properties: {
          LaunchTemplateData: {
            InstanceType: 'inf2.xlarge',
            ImageId: 'ami-0123456789abcdef0',
            MetadataOptions: metadataOptions,
            BlockDeviceMappings: volumes,
            UserData: base64(NODE_CONFIG),
          },
        },
      },
      InferentiaNodes: { Type: 'AWS::EKS::Nodegroup', Properties: nodegroup('InferentiaTemplate', 4) },
      NeuronPlugin: { Type: 'Custom::AWSCDK-EKS-KubernetesResource', Properties: { ...KUBECTL, Manifest: JSON.stringify([PLUGIN]) } },
      EfaPlugin: {
        Type: 'Custom::AWSCDK-EKS-HelmChart',
        Properties: {
          ...KUBECTL,
          Release: 'aws-efa-k8s-device-plugin',
          Chart: 'aws-efa-k8s-device-plugin',
          Namespace: 'kube-system',
          Repository: 'https://aws.github.io/eks-charts',
          Values: '{}',
        },
      },
      Decode: { Type: 'Custom::AWSCDK-EKS-KubernetesResource', Properties: { ...KUBECTL, Manifest: JSON.stringify([DECODE]) } },
    },
  };
}
