import { Token, aws_ec2 as ec2, aws_iam as iam } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { EncryptedLogsProps, encryptedLogs } from './encrypted-logs';
import { ManagedRole } from './managed-role';
import { Problem } from './problems';

/** What the VPC of a service is told. */
export interface ServingVpcProps extends EncryptedLogsProps {
  readonly capacityZone?: string;
}

/**
 * The VPC of a service that was given none: two zones, private subnets behind one NAT gateway, model files over an S3 endpoint, flow logs.
 *
 * A load balancer needs two zones, while engines need the one of their capacity: where that is named, the other one is its sibling.
 *
 * @internal
 */
export class ServingVpc extends ec2.Vpc {
  constructor(scope: Construct, id: string, props: ServingVpcProps) {
    const { capacityZone } = props;
    super(scope, id, {
      ...(capacityZone === undefined ? { maxAzs: 2 } : { availabilityZones: [capacityZone, siblingZone(capacityZone)] }),
      natGateways: 1,
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false, cidrMask: 24 },
        { name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
      ],
      gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
    });
    const role = new ManagedRole(this, 'FlowLogRole', {
      assumedBy: new iam.ServicePrincipal('vpc-flow-logs.amazonaws.com'),
      description: 'Writes the flow logs of a service',
    });
    this.addFlowLog('FlowLog', { destination: ec2.FlowLogDestination.toCloudWatchLogs(encryptedLogs(this, 'FlowLogs', props), role) });
  }
}

/** Why no VPC can be defined around capacity in this zone. */
export function siblingZoneProblems(zone: string, path: string): Problem[] {
  if (!Token.isUnresolved(zone) && /^[a-z]{2}(-[a-z]+)+-\d[a-z]$/.test(zone)) {
    return [];
  }
  return [{
    rule: 'VpcForZone',
    path,
    ...(Token.isUnresolved(zone) ? {} : { value: JSON.stringify(zone) }),
    message: 'no second zone for the load balancer can be derived from the zone of the capacity',
    mend: 'give a vpc with private subnets in the zone of the capacity and in one more',
  }];
}

/** Zone `a` of the region, or `b` where the capacity is in `a`: every region with Trainium has both. */
function siblingZone(zone: string): string {
  return zone.slice(0, -1) + (zone.endsWith('a') ? 'b' : 'a');
}
