import * as fc from 'fast-check';
import { efaFleet } from './efa-fleet';
import { graphOf } from './graph-of';
import { checkTemplates } from '../../src/validation/check-templates';
import { HOLE, Link, same, show, textParts, Unknown, Value } from '../../src/validation/graph/template-graph';
import { userDataText } from '../../src/validation/views/user-data';

/** Resolves one value of a template with a subnet and a parameter, and a second stack that exports. */
function resolve(value: unknown, region?: string): Value | undefined {
  const graph = graphOf([
    {
      stack: 'App',
      region,
      template: {
        Parameters: { Type: { Type: 'String', Default: 'trn2.48xlarge' } },
        Mappings: { Types: { large: { name: 'trn1.32xlarge' } } },
        Resources: {
          Vpc: { Type: 'AWS::EC2::VPC', Properties: { CidrBlock: '10.1.0.0/16' } }, Subnet: { Type: 'AWS::EC2::Subnet' }, Probe: { Type: 'Test::Probe', Properties: { Value: value } },
        },
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
    ['the default of a mapping without the key', { 'Fn::FindInMap': ['Types', 'small', 'name', { DefaultValue: 'none' }] }, '"none"'],
    ['a length', { 'Fn::Length': { 'Fn::Split': [',', 'a,b,c'] } }, '3'],
    ['a text of JSON', { 'Fn::ToJsonString': { a: { 'Fn::Join': ['', ['b', 'c']] }, b: [1] } }, '"{\\"a\\":\\"bc\\",\\"b\\":[1]}"'],
    ['blocks of a network', { 'Fn::Cidr': ['10.0.64.0/18', 3, '8'] }, '["10.0.64.0/24","10.0.65.0/24","10.0.66.0/24"]'],
    ['blocks of a network of the set', { 'Fn::Select': [1, { 'Fn::Cidr': [{ 'Fn::GetAtt': ['Vpc', 'CidrBlock'] }, 2, 12] }] }, '"10.1.16.0/20"'],
    ['a text in base64', { 'Fn::Base64': 'exit 0' }, '"ZXhpdCAw"'],
    ['a split of what was joined', { 'Fn::Split': [',', { 'Fn::Join': [',', [{ Ref: 'Subnet' }, 'a']] }] }, '[{"Ref":"Subnet"},"a"]'],
  ])('%s', (_, value, expected) => {
    expect(show(resolve(value))).toBe(expected);
  });

  test('the region, where the stack has one', () => {
    expect(resolve({ 'Fn::Sub': '${AWS::Region}b' }, 'us-east-2')).toBe('us-east-2b');
    expect(resolve({ Ref: 'AWS::Region' })).toBeInstanceOf(Unknown);
    expect(resolve({ 'Fn::Sub': 'arn:${AWS::Partition}:s3:::a' }, 'cn-north-1')).toBe('arn:aws-cn:s3:::a');
    expect(resolve({ 'Fn::Sub': 'ecr.${AWS::Region}.${AWS::URLSuffix}' }, 'us-east-2')).toBe('ecr.us-east-2.amazonaws.com');
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
    ['the length of a list that may have one more', { 'Fn::Length': ['a', { 'Fn::If': ['IsBig', 'b', { Ref: 'AWS::NoValue' }] }] }],
    ['a text of JSON with a reference', { 'Fn::ToJsonString': { a: { Ref: 'Subnet' } } }],
    ['more blocks than a network has', { 'Fn::Cidr': ['10.0.0.0/24', 2, 8] }],
    ['blocks of a network that is a parameter', { 'Fn::Cidr': [{ Ref: 'Type' }, 2, 8] }],
    ['a loop within a property', { 'Fn::ForEach::Name': ['N', ['a'], {}], 'b': 1 }],
    ['malformed intrinsic functions', { 'Fn::GetAtt': [] }],
    ['an intrinsic function that is not known', { 'Fn::Unheard': [1, 2] }],
  ])('%s', (_, value) => {
    expect(resolve(value)).toBeInstanceOf(Unknown);
  });

  test('an export of two stacks is not guessed', () => {
    const exporting = (stack: string) => ({ stack, template: { Outputs: { Out: { Value: stack, Export: { Name: 'shared' } } } } });
    const graph = graphOf([exporting('A'), exporting('B'), {
      stack: 'C', template: { Resources: { Probe: { Type: 'Test::Probe', Properties: { Value: { 'Fn::ImportValue': 'shared' } } } } },
    }]);
    expect(graph.ofType('Test::Probe')[0].get('Value')).toBeInstanceOf(Unknown);
  });
});

describe('a text that is known in part', () => {
  test('has its pieces', () => {
    const parts = (value: unknown) => show([...textParts(resolve(value)) ?? []]);
    expect(parts({ 'Fn::Sub': 'a ${Type} b ${Subnet} c' })).toBe('["a ","parameter \\"Type\\""," b ",{"Ref":"Subnet"}," c"]');
    expect(parts({ 'Fn::Join': ['-', ['a', { 'Fn::Sub': '${Type}b' }, 'c']] })).toBe('["a-","parameter \\"Type\\"","b-c"]');
    expect(textParts(resolve({ Ref: 'Type' }))).toBeUndefined();
  });

  test('is read out of base64', () => {
    expect(userDataText(resolve({ 'Fn::Base64': 'exit 0' }))).toBe('exit 0');
    expect(userDataText('ZXhpdCAw')).toBe('exit 0');
    expect(userDataText('exit 0!')).toBe('exit 0!');
    expect(userDataText(resolve({ 'Fn::Base64': { 'Fn::Sub': 'exit ${Type}' } }))).toBe(`exit ${HOLE}`);
  });
});

describe('attributes of a resource', () => {
  const graph = graphOf([{
    stack: 'A',
    template: {
      Resources: {
        Role: { Type: 'AWS::IAM::Role' },
        Policy: { Type: 'AWS::IAM::Policy', Properties: { Roles: [{ 'Fn::Sub': '${Role}-x' }] }, DependsOn: ['Role'] },
        Alone: { Type: 'AWS::IAM::Role' },
      },
    },
  }]);
  const [role, alone] = graph.ofType('AWS::IAM::Role');

  test('are read beside its properties', () => {
    expect(graph.ofType('AWS::IAM::Policy')[0].attribute('DependsOn')).toEqual(['Role']);
  });

  test('tell whether anything refers to it', () => {
    expect([role, alone].map((resource) => graph.isReferredTo(resource))).toEqual([true, false]);
  });

  test('group what refers to it', () => {
    const rules = [{ Ref: 'Group' }, { 'Fn::GetAtt': ['Group', 'GroupId'] }, { 'Fn::GetAtt': ['Made', 'GroupId'] }, undefined].map((GroupId, index) => (
      [`Rule${index}`, { Type: 'AWS::EC2::SecurityGroupIngress', Properties: { GroupId } }]));
    const groups = graphOf([{ stack: 'A', template: { Resources: { Group: { Type: 'AWS::EC2::SecurityGroup' }, Made: { Type: 'Custom::Group' }, ...Object.fromEntries(rules) } } }]);
    const [group] = groups.ofType('AWS::EC2::SecurityGroup');
    const byGroup = groups.byReference('AWS::EC2::SecurityGroupIngress', 'GroupId', 'AWS::EC2::SecurityGroup');
    expect([group, undefined].map((key) => byGroup.get(key)?.map(({ logicalId }) => logicalId))).toEqual([['Rule0', 'Rule1'], ['Rule2', 'Rule3']]);
  });
});

describe('loops of AWS::LanguageExtensions', () => {
  const loopGraph = (loop: object, properties: object = {}, transform: unknown = ['AWS::LanguageExtensions']) => graphOf([{
    stack: 'A', template: { Transform: transform, Parameters: { List: { Type: 'CommaDelimitedList' } }, Resources: { ...loop, Probe: { Type: 'Test::Probe', Properties: properties } } },
  }]);
  const body = { 'Subnet${Zone}': { Type: 'AWS::EC2::Subnet', Properties: { AvailabilityZone: { 'Fn::Sub': 'us-east-2${Zone}' }, Name: { Ref: 'Zone' } } } };

  test('are written out', () => {
    const graph = loopGraph({ 'Fn::ForEach::Zones': ['Zone', ['a', 'b'], body] });
    expect(graph.ofType('AWS::EC2::Subnet').map((subnet) => [subnet.logicalId, subnet.get('AvailabilityZone'), subnet.get('Name')]))
      .toEqual([['Subneta', 'us-east-2a', 'a'], ['Subnetb', 'us-east-2b', 'b']]);
    expect(graph.hasUnseenResources).toBe(false);
  });

  test('are written out within loops and properties', () => {
    const inner = { 'Fn::ForEach::Inner': ['B', ['x.', { Ref: 'A' }], { '${A}&{B}': { Type: 'Test::${B}' } }] };
    const graph = loopGraph({ 'Fn::ForEach::Outer': ['A', ['p', 'q'], inner] }, { 'Fn::ForEach::Names': ['N', ['a', 'b'], { 'Name${N}': 1 }] });
    expect(graph.resources.map(({ logicalId, type }) => `${logicalId} ${type}`)).toEqual(['px Test::x.', 'pp Test::p', 'qx Test::x.', 'qq Test::q', 'Probe Test::Probe']);
    expect(graph.ofType('Test::Probe')[0].get()).toEqual({ Namea: 1, Nameb: 1 });
  });

  test.each<[string, unknown, unknown]>([
    ['over a parameter', { Ref: 'List' }, 'AWS::LanguageExtensions'],
    ['without the transform', ['a'], 'AWS::Serverless-2016-10-31'],
  ])('%s leave resources unseen', (_, collection, transform) => {
    const graph = loopGraph({ 'Fn::ForEach::Zones': ['Zone', collection, body] }, {}, transform);
    expect(graph.ofType('AWS::EC2::Subnet')).toEqual([]);
    expect(graph.hasUnseenResources).toBe(true);
  });

  test.each<[unknown, boolean]>([
    ['AWS::LanguageExtensions', false], ['AWS::Serverless-2016-10-31', false], [['AWS::LanguageExtensions', 'MyMacro'], true], [[{ Name: 'AWS::Include' }], true],
  ])('beside the transform %j: unseen resources %s', (transform, unseen) => {
    expect(loopGraph({}, {}, transform).hasUnseenResources).toBe(unseen);
  });
});

describe('templates of no good intent', () => {
  const nested = (wrap: (value: unknown) => unknown, levels: number, leaf: unknown = 'a') => {
    let value = leaf;
    for (let level = 0; level < levels; level += 1) {
      value = wrap(value);
    }
    return value;
  };

  test.each<[string, (value: unknown) => unknown]>([
    ['lists', (value) => [value]],
    ['maps', (value) => ({ a: value })],
    ['Fn::Join', (value) => ({ 'Fn::Join': ['', [value, 'a']] })],
    ['Fn::If', (value) => ({ 'Fn::If': ['C', value, 'b'] })],
    ['Fn::Sub', (value) => ({ 'Fn::Sub': ['${a}', { a: value }] })],
    ['Fn::Select', (value) => ({ 'Fn::Select': [0, [value]] })],
    ['Fn::Transform', (value) => ({ 'Fn::Transform': value })],
    ['Fn::ForEach', (value) => ({ 'Fn::ForEach::A': ['A', ['a'], value] })],
  ])('20,000 nested %s do not overflow the stack', (_, wrap) => {
    const value = nested(wrap, 20_000);
    const template = { Transform: 'AWS::LanguageExtensions', Resources: { Template: { Type: 'AWS::EC2::LaunchTemplate', Properties: { LaunchTemplateData: value } } } };
    expect(checkTemplates([{ stack: 'A', template }]).findings).toEqual([]);
    expect(show(resolve(value)).length).toBeLessThan(2_000);
  });

  test('20,000 nested conditions, and a chain of as many, do not overflow the stack', () => {
    const chain = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`C${index}`, { 'Fn::Not': [{ Condition: `C${index + 1}` }] }]));
    const template = {
      Conditions: { ...chain, Deep: nested((value) => ({ 'Fn::Not': [value] }), 20_000) },
      Resources: { A: { Type: 'Test::A', Condition: 'C0' }, B: { Type: 'Test::B', Condition: 'Deep' } },
    };
    expect(graphOf([{ stack: 'A', template }]).resources.map(({ conditional }) => conditional instanceof Unknown)).toEqual([true, true]);
    expect(checkTemplates([{ stack: 'A', template }]).findings).toEqual([]);
  });

  test.each<[string, (value: unknown) => unknown]>([
    ['Fn::Join', (value) => ({ 'Fn::Join': ['', [value, value]] })],
    ['Fn::Sub', (value) => ({ 'Fn::Sub': ['${a}${a}', { a: value }] })],
    ['Fn::ToJsonString', (value) => ({ 'Fn::ToJsonString': [value, value] })],
    ['lists', (value) => [value, value]],
    ['maps', (value) => ({ a: value, b: value })],
  ])('values that double at each of 60 exports are unknown in the end: %s', (_, twice) => {
    const outputs = Object.fromEntries(Array.from({ length: 60 }, (__, index) => (
      [`O${index}`, { Value: index === 0 ? 'a' : twice({ 'Fn::ImportValue': `E${index - 1}` }), Export: { Name: `E${index}` } }])));
    const graph = graphOf([{ stack: 'A', template: { Outputs: outputs, Resources: { Probe: { Type: 'Test::Probe', Properties: { Value: { 'Fn::ImportValue': 'E59' } } } } } }]);
    expect(show(graph.ofType('Test::Probe')[0].get('Value'))).toMatch(/too large|longer than|"\\"Fn::/);
  });

  test('names of the prototype are ordinary names', () => {
    const template: unknown = JSON.parse(`{"Mappings": {"__proto__": {"a": {"b": "c"}}}, "Resources": {
      "__proto__": {"Type": "Test::Probe", "Properties": {"Value": {"Fn::FindInMap": ["__proto__", "a", "b"]}, "__proto__": {"Ref": "__proto__"}}},
      "constructor": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {"Fn::GetAtt": "toString.valueOf"}}}
    }}`);
    const graph = graphOf([{ stack: 'A', template }]);
    expect(show(graph.ofType('Test::Probe')[0].get())).toBe('{"Value":"c","__proto__":{"Ref":"__proto__"}}');
    expect(graph.ofType('AWS::EC2::LaunchTemplate')[0].get('LaunchTemplateData', 'constructor')).toBeInstanceOf(Unknown);
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
    ['zones of one region, written in two ways', zone(0), { 'Fn::Select': ['0', { 'Fn::GetAZs': { Ref: 'AWS::Region' } }] }, true],
    ['lists with a parameter and text', [{ Ref: 'Type' }, 'a'], ['x', 'a'], undefined],
    ['lists with a parameter and different text', [{ Ref: 'Type' }, 'a'], ['x', 'b'], false],
    ['lists of which one may be longer', ['a', { 'Fn::If': ['IsBig', 'b', { Ref: 'AWS::NoValue' }] }], ['a'], undefined],
    ['lists of two lengths', ['a'], ['a', 'b'], false],
    ['maps in another order', { a: 1, b: 2 }, { b: '2', a: '1' }, true],
    ['maps of other names', { a: 1 }, { b: 1 }, false],
    ['a list of one and its value', ['a'], 'a', undefined],
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
