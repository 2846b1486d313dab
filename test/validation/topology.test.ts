import { efaFleet, Template } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';

function findings(template: Template, rule: string, region = 'us-east-2') {
  return checkTemplates([{ stack: 'Fleet', template, region }]).findings.filter((finding) => finding.rule.id === rule);
}

function resource(type: string, properties: { [name: string]: any }) {
  return { Type: type, Properties: properties };
}

describe('ZoneOutsideRegion', () => {
  test.each([
    ['us-east-2b', 'us-east-2', 0],
    ['us-east-1b', 'us-east-2', 1],
    ['us-west-2-lax-1a', 'us-west-2', 0],
    ['us-west-2-lax-1a', 'us-east-2', 1],
    ['us-east-1-wl1-bos-wlz-1', 'us-east-1', 0],
    ['us-gov-west-1a', 'us-gov-west-1', 0],
    ['us-gov-west-1a', 'us-west-1', 1],
    ['eusc-de-east-1a', 'eusc-de-east-1', 0],
  ])('the zone %s in %s is found %d times', (zone, region, times) => {
    const template: Template = { Resources: { Subnet: resource('AWS::EC2::Subnet', { VpcId: 'vpc-1', CidrBlock: '10.0.0.0/24', AvailabilityZone: zone }) } };
    expect(findings(template, 'ZoneOutsideRegion', region)).toHaveLength(times);
  });

  test.each([
    ['use2-az1', 'us-east-2', 0],
    ['usw2-az1', 'us-east-2', 1],
    ['usw2-lax1-az1', 'us-west-2', 0],
    ['apne1-az4', 'ap-northeast-1', 0],
    ['aps2-az1', 'ap-south-2', 0],
    ['apse2-az1', 'ap-south-2', 1],
    ['usgw1-az1', 'us-gov-west-1', 0],
    ['anything1-az1', 'us-iso-east-1', 0],
  ])('the zone id %s in %s is found %d times', (id, region, times) => {
    const template: Template = { Resources: { Subnet: resource('AWS::EC2::Subnet', { VpcId: 'vpc-1', CidrBlock: '10.0.0.0/24', AvailabilityZoneId: id }) } };
    expect(findings(template, 'ZoneOutsideRegion', region)).toHaveLength(times);
  });

  test('reports a region that is wrong everywhere once, with the number of the other places', () => {
    const [finding, ...more] = findings(efaFleet(), 'ZoneOutsideRegion', 'us-west-2');
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ value: '"us-east-2b"', message: 'the zone is of another region than the stack, us-west-2; so it is at 2 more places' });
  });
});

describe('subnets and zones of EFA instances', () => {
  const group = (template: Template) => template.Resources.Group.Properties;

  test.each([
    ['a name and an id, which may be one zone', { AvailabilityZoneId: 'use2-az2' }, 0],
    ['a local zone by name and by id', { AvailabilityZoneId: 'use2-chi1-az1' }, 0],
    ['two names', { AvailabilityZone: 'us-east-2c' }, 1],
    ['two elements of one list of zones', { AvailabilityZone: { 'Fn::Select': [1, { 'Fn::GetAZs': '' }] } }, 0],
  ])('%s', (_, zone, times) => {
    const template = efaFleet();
    template.Resources.OtherZoneSubnet.Properties = { VpcId: { Ref: 'Vpc' }, CidrBlock: '10.0.16.0/20', ...zone };
    group(template).VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
    expect(findings(template, 'EfaGroupSpansZones')).toHaveLength(times);
  });

  test('several elements of one list of zones are several zones', () => {
    const template = efaFleet();
    const zone = (index: number) => ({ 'Fn::Select': [index, { 'Fn::GetAZs': '' }] });
    template.Resources.Subnet.Properties.AvailabilityZone = zone(0);
    template.Resources.OtherZoneSubnet.Properties.AvailabilityZone = zone(1);
    group(template).VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
    expect(findings(template, 'EfaGroupSpansZones')).toHaveLength(1);
  });

  test('of a security group outside the VPC one finding speaks, however many interfaces carry it', () => {
    const template = efaFleet();
    template.Resources.OtherVpc = resource('AWS::EC2::VPC', { CidrBlock: '10.0.0.0/16' });
    template.Resources.FabricSecurityGroup.Properties.VpcId = { Ref: 'OtherVpc' };
    expect(findings(template, 'SecurityGroupOutsideVpc').map((finding) => finding.resource.logicalId)).toEqual(['LaunchTemplate', 'ReservedLaunchTemplate']);
  });

  test('a security group may be associated with another VPC', () => {
    const template = efaFleet();
    template.Resources.OtherVpc = resource('AWS::EC2::VPC', { CidrBlock: '10.0.0.0/16' });
    template.Resources.FabricSecurityGroup.Properties.VpcId = { Ref: 'OtherVpc' };
    template.Resources.Association = resource('AWS::EC2::SecurityGroupVpcAssociation', {
      GroupId: { 'Fn::GetAtt': ['FabricSecurityGroup', 'GroupId'] },
      VpcId: { Ref: 'Vpc' },
    });
    expect(findings(template, 'SecurityGroupOutsideVpc')).toEqual([]);
  });

  test('a VPC that is a parameter is no other VPC', () => {
    const template = efaFleet();
    template.Parameters = { VpcId: { Type: 'String' } };
    template.Resources.FabricSecurityGroup.Properties.VpcId = { Ref: 'VpcId' };
    template.Resources.OtherZoneSubnet.Properties = { VpcId: { Ref: 'VpcId' }, CidrBlock: '10.0.16.0/20', AvailabilityZone: 'us-east-2b' };
    group(template).VPCZoneIdentifier.push({ Ref: 'OtherZoneSubnet' });
    expect(findings(template, 'SecurityGroupOutsideVpc')).toEqual([]);
    expect(findings(template, 'EfaGroupSpansVpcs')).toEqual([]);
  });
});

describe('EfaPeersInSeveralZones', () => {
  const apart = () => {
    const template = efaFleet();
    template.Resources.ReservedGroup.Properties.VPCZoneIdentifier = [{ Ref: 'OtherZoneSubnet' }];
    return template;
  };

  test('finds a launch that shares a fabric security group with launches of another zone only', () => {
    expect(findings(apart(), 'EfaPeersInSeveralZones').map(({ message }) => message))
      .toEqual(['its EFA interfaces share the security group FabricSecurityGroup with Group in another zone']);
  });

  test('leaves replicas of prefill and decode, one pair a zone, alone', () => {
    const template = apart();
    for (const [name, subnet] of [['SecondB', 'Subnet'], ['SecondC', 'OtherZoneSubnet']]) {
      const launchTemplate = structuredClone(template.Resources.LaunchTemplate);
      template.Resources[`${name}Template`] = launchTemplate;
      template.Resources[name] = resource('AWS::AutoScaling::AutoScalingGroup', {
        MinSize: '0',
        MaxSize: '1',
        VPCZoneIdentifier: [{ Ref: subnet }],
        LaunchTemplate: { LaunchTemplateId: { Ref: `${name}Template` }, Version: '1' },
      });
    }
    expect(findings(template, 'EfaPeersInSeveralZones')).toEqual([]);
  });

  test('says nothing where a zone is not known', () => {
    const template = apart();
    template.Parameters = { Zone: { Type: 'String' } };
    template.Resources.OtherZoneSubnet.Properties.AvailabilityZone = { Ref: 'Zone' };
    expect(findings(template, 'EfaPeersInSeveralZones')).toEqual([]);
  });
});

describe('placement groups', () => {
  test.each([
    ['t4g.large', 1], ['mac1.metal', 1], ['m7i-flex.large', 1], ['m7i.large', 0], ['trn1.32xlarge', 0], [{ Ref: 'Type' }, 0],
  ])('%j in a cluster is found %d times', (type, times) => {
    const template = efaFleet();
    template.Parameters = { Type: { Type: 'String' } };
    // CloudFormation makes a cluster where no strategy is given.
    template.Resources.Placement = resource('AWS::EC2::PlacementGroup', {});
    template.Resources.Small = resource('AWS::EC2::LaunchTemplate', { LaunchTemplateData: { InstanceType: type, Placement: { GroupName: { Ref: 'Placement' } } } });
    expect(findings(template, 'ClusterPlacementInstanceType')).toHaveLength(times);
  });

  test('an instance without a launch template names its group in its own words', () => {
    const template = efaFleet();
    template.Resources.Placement = resource('AWS::EC2::PlacementGroup', { Strategy: 'cluster' });
    template.Resources.Host = resource('AWS::EC2::Instance', { InstanceType: 't3.large', PlacementGroupName: { Ref: 'Placement' }, Tenancy: 'host' });
    expect(findings(template, 'ClusterPlacementInstanceType')).toHaveLength(1);
    expect(findings(template, 'DedicatedHostInPlacementGroup')).toHaveLength(1);
  });
});
