import * as fc from 'fast-check';
import { efaFleet } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';
import { Link, same, show, TemplateGraph, Unknown, Value } from '../../src/validation/template-graph';

/** Resolves one value of a template with a subnet and a parameter, and a second stack that exports. */
function resolve(value: unknown, region?: string): Value | undefined {
  const graph = new TemplateGraph([
    {
      stack: 'App',
      region,
      template: {
        Parameters: { Type: { Type: 'String', Default: 'trn2.48xlarge' } },
        Mappings: { Types: { large: { name: 'trn1.32xlarge' } } },
        Resources: { Subnet: { Type: 'AWS::EC2::Subnet' }, Probe: { Type: 'Test::Probe', Properties: { Value: value } } },
      },
    },
    {
      stack: 'Network',
      template: {
        Resources: { Group: { Type: 'AWS::EC2::SecurityGroup' } },
        Outputs: {
          Group: { Value: { 'Fn::GetAtt': ['Group', 'GroupId'] }, Export: { Name: 'Network:Group' } },
          Loop: { Value: { 'Fn::ImportValue': 'Network:Loop' }, Export: { Name: 'Network:Loop' } },
        },
      },
    },
  ]);
  return graph.ofType('Test::Probe')[0].get('Value');
}

describe('certain values', () => {
  test.each<[string, unknown, string]>([
    ['a reference to a resource', { Ref: 'Subnet' }, '{"Ref":"Subnet"}'],
    ['an attribute, as a list', { 'Fn::GetAtt': ['Subnet', 'SubnetId'] }, '{"Fn::GetAtt":["Subnet","SubnetId"]}'],
    ['an attribute, as text', { 'Fn::GetAtt': 'Subnet.SubnetId' }, '{"Fn::GetAtt":["Subnet","SubnetId"]}'],
    ['a join of text', { 'Fn::Join': ['.', ['trn2', '48xlarge']] }, '"trn2.48xlarge"'],
    ['a join of one reference', { 'Fn::Join': ['', [{ Ref: 'Subnet' }]] }, '{"Ref":"Subnet"}'],
    ['a split', { 'Fn::Split': [',', 'a,b'] }, '["a","b"]'],
    ['a selection', { 'Fn::Select': ['1', ['a', 'b']] }, '"b"'],
    ['a substitution of text', { 'Fn::Sub': ['${a}-${!b}', { a: 'x' }] }, '"x-${b}"'],
    ['a substitution of one reference', { 'Fn::Sub': '${Subnet.SubnetId}' }, '{"Fn::GetAtt":["Subnet","SubnetId"]}'],
    ['a mapping', { 'Fn::FindInMap': ['Types', 'large', 'name'] }, '"trn1.32xlarge"'],
    ['a condition that changes nothing', { 'Fn::If': ['IsBig', 'a', 'a'] }, '"a"'],
    ['a list without what is not there', ['a', { Ref: 'AWS::NoValue' }], '["a"]'],
    ['an import from a stack of the set', { 'Fn::ImportValue': 'Network:Group' }, '{"Fn::GetAtt":["Group","GroupId"]}'],
  ])('%s', (_, value, expected) => {
    expect(show(resolve(value))).toBe(expected);
  });

  test('the region, where the stack has one', () => {
    expect(resolve({ 'Fn::Sub': '${AWS::Region}b' }, 'us-east-2')).toBe('us-east-2b');
    expect(resolve({ Ref: 'AWS::Region' })).toBeInstanceOf(Unknown);
  });

  test('AWS::NoValue is nothing', () => {
    expect(resolve({ Ref: 'AWS::NoValue' })).toBeUndefined();
  });
});

describe('unknown values', () => {
  test.each<[string, unknown]>([
    ['a parameter, though it has a default', { Ref: 'Type' }],
    ['a reference to nothing', { Ref: 'Nowhere' }],
    ['a condition that changes something', { 'Fn::If': ['IsBig', 'a', 'b'] }],
    ['an import from elsewhere', { 'Fn::ImportValue': 'Other:Group' }],
    ['an import that imports itself', { 'Fn::ImportValue': 'Network:Loop' }],
    ['a macro', { 'Fn::Transform': { Name: 'AWS::Include' }, 'a': 1 }],
    ['a join with a parameter', { 'Fn::Join': ['', ['trn', { Ref: 'Type' }]] }],
    ['a zone of the region', { 'Fn::Select': [0, { 'Fn::GetAZs': '' }] }],
    ['malformed intrinsic functions', { 'Fn::GetAtt': [] }],
    ['an intrinsic function that is not known', { 'Fn::Length': [1, 2] }],
  ])('%s', (_, value) => {
    expect(resolve(value)).toBeInstanceOf(Unknown);
  });

  test('an export of two stacks is not guessed', () => {
    const exporting = (stack: string) => ({ stack, template: { Outputs: { Out: { Value: stack, Export: { Name: 'shared' } } } } });
    const graph = new TemplateGraph([exporting('A'), exporting('B'), {
      stack: 'C', template: { Resources: { Probe: { Type: 'Test::Probe', Properties: { Value: { 'Fn::ImportValue': 'shared' } } } } },
    }]);
    expect(graph.ofType('Test::Probe')[0].get('Value')).toBeInstanceOf(Unknown);
  });
});

describe('same', () => {
  const zone = (index: number) => ({ 'Fn::Select': [index, { 'Fn::GetAZs': '' }] });
  test.each<[string, unknown, unknown, boolean | undefined]>([
    ['equal text', 'a', 'a', true],
    ['a number and its text', 1, '1', true],
    ['different text', 'a', 'b', false],
    ['one parameter twice', { Ref: 'Type' }, { Ref: 'Type' }, true],
    ['a parameter and text', { Ref: 'Type' }, 'a', undefined],
    ['a reference to a subnet and its id', { Ref: 'Subnet' }, { 'Fn::GetAtt': ['Subnet', 'SubnetId'] }, true],
    ['a subnet and a literal id', { Ref: 'Subnet' }, 'subnet-1', undefined],
    ['one zone of the region twice', zone(0), zone(0), true],
    ['two zones of the region', zone(0), zone(1), false],
  ])('%s', (_, a, b, expected) => {
    const pair = resolve([a, b]) as Value[];
    expect(same(pair[0], pair[1])).toBe(expected);
    expect(same(pair[1], pair[0])).toBe(expected);
  });
});

describe('garbage', () => {
  const key = fc.oneof(
    fc.constantFrom('Ref', 'Fn::GetAtt', 'Fn::Sub', 'Fn::Join', 'Fn::Split', 'Fn::Select', 'Fn::If', 'Fn::FindInMap', 'Fn::ImportValue',
      'Fn::GetAZs', 'Fn::Transform', '__proto__', 'constructor', 'toString', 'valueOf', 'toJSON', 'LaunchTemplateData', 'NetworkInterfaces', 'InterfaceType', 'Groups'),
    fc.string(),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>('efa', 'efa-only', 'LaunchTemplate', 'AWS::NoValue', '${LaunchTemplate.Id}', '${', -1, 0, 1.5, null, true),
      fc.string(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));

  test('never throws as a template', () => {
    const types = [...new Set(Object.values(efaFleet().Resources).map(({ Type }) => Type)), 'AWS::EKS::Nodegroup', 'AWS::EC2::EC2Fleet',
      'AWS::AutoScaling::WarmPool', 'AWS::EC2::PlacementGroup'];
    const resource = fc.record({ Type: fc.oneof({ weight: 9, arbitrary: fc.constantFrom<unknown>(...types) }, value), Properties: value });
    const template = fc.oneof(value, fc.record({
      Resources: fc.dictionary(fc.oneof(key, fc.constantFrom('LaunchTemplate', 'Group')), resource, { maxKeys: 6 }),
      Outputs: fc.dictionary(fc.string(), value, { maxKeys: 2 }),
      Parameters: value,
      Mappings: value,
    }, { requiredKeys: ['Resources'] }));
    fc.assert(fc.property(template, template, (first, second) => {
      expect(checkTemplates([{ stack: 'A', template: first }, { stack: 'B', template: second }])).toBeDefined();
    }), { numRuns: 500 });
  });

  test('never throws in place of any property of a fleet', () => {
    const places = Object.keys(efaFleet().Resources);
    fc.assert(fc.property(fc.constantFrom(...places), fc.nat(10), value, fc.boolean(), (logicalId, at, replaced, whole) => {
      const template = efaFleet();
      let owner: any = template.Resources[logicalId].Properties;
      const inner = owner.LaunchTemplateData;
      if (inner && !whole) {
        owner = at % 2 === 0 ? inner : inner.NetworkInterfaces[0];
      }
      const names = Object.keys(owner);
      owner[names[at % names.length]] = replaced;
      const { findings, unchecked } = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
      for (const { message } of [...findings]) {
        expect(message).not.toContain('[object Object]');
      }
      for (const { places: all } of unchecked) {
        expect(all.length).toBeGreaterThan(0);
      }
    }), { numRuns: 300 });
  });
});

describe('unknown values in a fleet', () => {
  const check = (template: object) => checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);

  test.each<[string, string, (template: any) => void]>([
    ['the instance type', 'EfaInstanceTypeUnsupported', ({ Resources }) => {
      Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = { Ref: 'Type' };
    }],
    ['a type that is not in the catalogue', 'EfaInstanceTypeUnsupported', ({ Resources }) => {
      Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = 'c7gn.16xlarge';
    }],
    ['the security group', 'EfaSelfIngressMissing', ({ Resources }) => {
      for (const nic of Resources.LaunchTemplate.Properties.LaunchTemplateData.NetworkInterfaces) {
        nic.Groups = ['sg-0123456789abcdef0'];
      }
    }],
    ['the subnets', 'EfaGroupSpansZones', ({ Resources }) => {
      Resources.Group.Properties.VPCZoneIdentifier = { Ref: 'Subnets' };
    }],
    ['the source of the self rule', 'EfaSelfIngressMissing', ({ Resources }) => {
      Resources.FabricIngress.Properties.SourceSecurityGroupId = { Ref: 'GroupParameter' };
    }],
  ])('%s: the rule says that it could not be checked, and finds nothing', (_, id, change) => {
    const template = efaFleet();
    change(template);
    const { findings, unchecked } = check(template);
    expect(findings).toEqual([]);
    expect(unchecked.map(({ rule }) => rule.id)).toContain(id);
    expect(new Set(unchecked.map(({ rule }) => rule.id)).size).toBe(unchecked.length);
  });

  test('self rules within the security group count', () => {
    const template = efaFleet();
    delete template.Resources.FabricIngress;
    delete template.Resources.FabricEgress;
    const self = { 'Fn::GetAtt': ['FabricSecurityGroup', 'GroupId'] };
    Object.assign(template.Resources.FabricSecurityGroup.Properties, {
      SecurityGroupIngress: [{ IpProtocol: -1, SourceSecurityGroupId: self }],
      SecurityGroupEgress: [{ IpProtocol: -1, DestinationSecurityGroupId: self }],
    });
    expect(check(template).findings).toEqual([]);
  });

  test('a self rule of some ports does not count', () => {
    const template = efaFleet();
    template.Resources.FabricIngress.Properties.IpProtocol = 'tcp';
    expect(check(template).findings.map(({ rule, message }) => [rule.id, message])).toEqual([
      ['EfaSelfIngressMissing', 'the security group of an EFA interface allows only some protocols or ports from itself, and EFA needs all traffic'],
    ]);
  });

  test('a security group of another stack is followed through its export', () => {
    const fleet = efaFleet();
    const { FabricSecurityGroup, FabricIngress, Vpc, ...rest } = fleet.Resources;
    const fleetStack = JSON.parse(JSON.stringify({ Resources: rest })
      .replaceAll('{"Fn::GetAtt":["FabricSecurityGroup","GroupId"]}', '{"Fn::ImportValue":"Network:Fabric"}'));
    const network = {
      Resources: { FabricSecurityGroup, FabricIngress, Vpc },
      Outputs: { Fabric: { Value: { 'Fn::GetAtt': ['FabricSecurityGroup', 'GroupId'] }, Export: { Name: 'Network:Fabric' } } },
    };
    expect(checkTemplates([{ stack: 'Network', template: network }, { stack: 'Fleet', template: fleetStack }]).findings).toEqual([]);
    delete fleetStack.Resources.FabricEgress;
    const { findings } = checkTemplates([{ stack: 'Network', template: network }, { stack: 'Fleet', template: fleetStack }]);
    expect(findings.map(({ rule, resource }) => [rule.id, resource.stack, resource.logicalId]))
      .toEqual([['EfaSelfEgressMissing', 'Network', 'FabricSecurityGroup']]);
  });
});

test('a link names its resource', () => {
  const link = resolve({ Ref: 'Subnet' });
  expect(link).toBeInstanceOf(Link);
  expect((link as Link).resource.logicalId).toBe('Subnet');
});
