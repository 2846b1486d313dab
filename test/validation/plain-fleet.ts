import { CfnElement, CfnParameter, Lazy, Stack } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as ecsPatterns from 'aws-cdk-lib/aws-ecs-patterns';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

/** A piece of a template, whose resources have no constructs. */
export class Fragment extends CfnElement {
  constructor(scope: Construct, id: string, private readonly template: object) {
    super(scope, id);
  }

  public _toCloudFormation(): object {
    return this.template;
  }
}

export interface FleetProps {
  readonly instanceType?: string;
  readonly placement?: ec2.PlacementGroupStrategy;
}

/** A fleet of plain L1 and L2 constructs, as one writes it without this library. */
export class Fleet extends Construct {
  public readonly template: ec2.CfnLaunchTemplate;

  constructor(scope: Construct, id: string, props: FleetProps = {}) {
    super(scope, id);
    const vpc = new ec2.Vpc(this, 'Vpc', { maxAzs: 1, restrictDefaultSecurityGroup: false });
    const fabric = new ec2.SecurityGroup(this, 'Fabric', { vpc, allowAllOutbound: false });
    fabric.addIngressRule(fabric, ec2.Port.allTraffic());
    fabric.addEgressRule(fabric, ec2.Port.allTraffic());
    const placement = props.placement && new ec2.PlacementGroup(this, 'Placement', { strategy: props.placement });
    this.template = new ec2.CfnLaunchTemplate(this, 'Template', {
      launchTemplateData: {
        instanceType: props.instanceType ?? 'trn1.32xlarge',
        placement: placement && { groupName: placement.placementGroupName },
        networkInterfaces: Lazy.any({
          produce: () => [0, 1].map((card) => ({
            networkCardIndex: card,
            deviceIndex: card === 0 ? 0 : 1,
            interfaceType: card === 0 ? 'efa' : 'efa-only',
            groups: [fabric.securityGroupId],
          })),
        }),
      },
    });
    new autoscaling.CfnAutoScalingGroup(this, 'Group', {
      minSize: '0',
      maxSize: '2',
      vpcZoneIdentifier: vpc.privateSubnets.map(({ subnetId }) => subnetId),
      launchTemplate: { launchTemplateId: this.template.ref, version: this.template.attrLatestVersionNumber },
    });
  }
}

/** Ordinary applications, which the rules have nothing to say about. */
export function ordinaryApplications(stack: Stack): void {
  const vpc = new ec2.Vpc(stack, 'Vpc');
  const cluster = new ecs.Cluster(stack, 'Cluster', { vpc });
  new ecsPatterns.ApplicationLoadBalancedFargateService(stack, 'Web', {
    cluster,
    taskImageOptions: { image: ecs.ContainerImage.fromRegistry('nginx') },
  });
  new autoscaling.AutoScalingGroup(stack, 'Workers', {
    vpc,
    launchTemplate: new ec2.LaunchTemplate(stack, 'WorkerTemplate', {
      instanceType: new ec2.InstanceType(new CfnParameter(stack, 'WorkerType', { default: 'm7i.large' }).valueAsString),
      machineImage: ec2.MachineImage.latestAmazonLinux2023(),
      securityGroup: new ec2.SecurityGroup(stack, 'WorkerSecurityGroup', { vpc }),
    }),
  });
  new autoscaling.AutoScalingGroup(stack, 'Spot', {
    vpc,
    mixedInstancesPolicy: {
      launchTemplate: new ec2.LaunchTemplate(stack, 'SpotTemplate', { machineImage: ec2.MachineImage.latestAmazonLinux2023() }),
      launchTemplateOverrides: [{ instanceType: new ec2.InstanceType('c7g.large') }, { instanceType: new ec2.InstanceType('c7gn.large') }],
    },
  });
  new ec2.Instance(stack, 'Bastion', { vpc, instanceType: new ec2.InstanceType('t3.micro'), machineImage: ec2.MachineImage.latestAmazonLinux2023() });
  new lambda.Function(stack, 'Function', { runtime: lambda.Runtime.NODEJS_22_X, handler: 'index.handler', code: lambda.Code.fromInline('exports.handler = 1') });
}

export const acknowledgement = (rule: string) => ({ id: `InferenceRules::${rule}`, reason: 'tried on a card of our own' });
