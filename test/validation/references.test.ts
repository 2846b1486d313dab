import { efaFleet, Template } from './efa-fleet';
import { graphOf } from './graph-of';
import { checkTemplates } from '../../src/validation/check-templates';
import { show, ssmParameterOf, TemplateInput, Unknown, Value } from '../../src/validation/graph/template-graph';

const probe = (value: unknown) => ({ Type: 'Test::Probe', Properties: { Value: value } });

/** The value of the one probe of a set of templates. */
function probed(...inputs: TemplateInput[]): Value | undefined {
  return graphOf(inputs).ofType('Test::Probe')[0].get('Value');
}

const place = { region: 'us-east-2', account: '111111111111' };

describe('exports', () => {
  const exporter = (stack: string, value: unknown, where: object = {}, output: object = {}): TemplateInput => ({
    stack, ...where, template: { Resources: { Group: { Type: 'AWS::EC2::SecurityGroup' } }, Outputs: { Out: { Value: value, Export: { Name: 'shared' }, ...output } } },
  });
  const importer = (where: object = {}, value: unknown = { 'Fn::ImportValue': 'shared' }): TemplateInput => (
    { stack: 'Importer', ...where, template: { Resources: { Probe: probe(value) } } });

  test('are those of the same region and account', () => {
    const others = [exporter('A', 'a', { ...place, region: 'us-west-2' }), exporter('B', 'b', { ...place, account: '222222222222' })];
    expect(probed(...others, importer(place))).toBeInstanceOf(Unknown);
    expect(probed(...others, exporter('C', 'c', place), importer(place))).toBe('c');
    expect(probed(...others, importer())).toBeInstanceOf(Unknown);
  });

  test('of a list are split as they were joined, as the CDK does', () => {
    const list = [{ Ref: 'Group' }, 'sg-1'];
    const split = (delimiter: string) => ({ 'Fn::Split': [delimiter, { 'Fn::ImportValue': 'shared' }] });
    const joined = exporter('A', { 'Fn::Join': ['||', list] });
    expect(show(probed(joined, importer({}, split('||'))))).toBe('[{"Ref":"Group"},"sg-1"]');
    expect(probed(joined, importer({}, split(',')))).toBeInstanceOf(Unknown);
    expect(show(probed(exporter('A', { 'Fn::Join': [',', [{ Ref: 'Group' }]] }), importer({}, split(','))))).toBe('[{"Ref":"Group"}]');
  });

  test('are not there where their condition does not hold', () => {
    const conditions = (holds: unknown) => {
      const input = exporter('A', 'a', {}, { Condition: 'C' });
      return { ...input, template: { ...input.template as object, Conditions: { C: { 'Fn::Equals': ['a', holds] } } } };
    };
    expect(probed(conditions('a'), importer())).toBe('a');
    expect(probed(conditions('b'), importer())).toBeInstanceOf(Unknown);
    expect(probed(conditions({ Ref: 'P' }), importer())).toBeInstanceOf(Unknown);
  });
});

describe('nested stacks', () => {
  const parent = (parameters: unknown, resources: object = {}): TemplateInput => ({
    stack: 'Parent',
    ...place,
    template: {
      Parameters: { Type: { Type: 'String' } },
      Resources: {
        Subnet: { Type: 'AWS::EC2::Subnet' },
        Other: { Type: 'AWS::EC2::Subnet' },
        Nested: { Type: 'AWS::CloudFormation::Stack', Properties: { Parameters: parameters } },
        ...resources,
      },
    },
  });
  const child = (value: unknown, type: string = 'String', declared: object = {}, outputs: object = {}): TemplateInput => ({
    stack: 'Child',
    parent: { stack: 'Parent', logicalId: 'Nested' },
    template: {
      Parameters: { Given: { Type: type, ...declared } },
      Resources: { Group: { Type: 'AWS::EC2::SecurityGroup' }, ...value === undefined ? {} : { Probe: probe(value) } },
      Outputs: { GroupId: { Value: { 'Fn::GetAtt': ['Group', 'GroupId'] } }, Given: { Value: { Ref: 'Given' } }, ...outputs },
    },
  });
  const given = (value: unknown, type?: string, declared?: object) => show(probed(parent({ Given: value }), child({ Ref: 'Given' }, type, declared)));

  test('get the values of their parent', () => {
    expect(given('trn2.48xlarge')).toBe('"trn2.48xlarge"');
    expect(given({ Ref: 'Subnet' })).toBe('{"Ref":"Subnet"}');
    expect(given({ Ref: 'Type' })).toBe('"parameter \\"Type\\""');
  });

  test('get lists of their parent', () => {
    const joined = { 'Fn::Join': [',', [{ Ref: 'Subnet' }, { Ref: 'Other' }]] };
    expect(given(joined, 'List<AWS::EC2::Subnet::Id>')).toBe('[{"Ref":"Subnet"},{"Ref":"Other"}]');
    expect(given({ Ref: 'Subnet' }, 'CommaDelimitedList')).toBe('[{"Ref":"Subnet"}]');
    expect(given('a,b', 'CommaDelimitedList')).toBe('["a","b"]');
    expect(given({ Ref: 'Type' }, 'CommaDelimitedList')).toBe('"parameter \\"Type\\""');
  });

  test('have the defaults of what their parent leaves out', () => {
    expect(given({ Ref: 'AWS::NoValue' }, 'String', { Default: 'trn1.32xlarge' })).toBe('"trn1.32xlarge"');
    expect(probed(parent({}), child({ Ref: 'Given' }))).toBeInstanceOf(Unknown);
  });

  test('give their parent outputs', () => {
    const out = (name: string) => show(probed(parent({ Given: { Ref: 'Other' } }, { Probe: probe({ 'Fn::GetAtt': ['Nested', `Outputs.${name}`] }) }), child(undefined)));
    expect(out('GroupId')).toBe('{"Fn::GetAtt":["Group","GroupId"]}');
    expect(out('Given')).toBe('{"Ref":"Other"}');
    expect(out('Nothing')).toBe('"\\"Outputs.Nothing\\" of Nested"');
  });

  test('are in the region of their parent', () => {
    expect(probed(parent({}), child({ Ref: 'AWS::Region' }))).toBe('us-east-2');
  });

  test('that are not in the set add resources that are not seen', () => {
    expect(graphOf([parent({})]).hasUnseenResources).toBe(true);
    expect(graphOf([parent({}), child('a')]).hasUnseenResources).toBe(false);
  });

  test('are not there where their parent does not deploy them', () => {
    const input = parent({});
    const template = input.template as Template;
    template.Resources.Nested.Condition = 'Never';
    template.Conditions = { Never: { 'Fn::Equals': ['a', 'b'] } };
    expect(graphOf([input, child('a')]).ofType('Test::Probe')).toEqual([]);
    template.Conditions = { Never: { 'Fn::Or': [] } };
    const [resource] = graphOf([input, child('a')]).ofType('Test::Probe');
    expect(resource.conditional).toBeInstanceOf(Unknown);
    expect(resource.get('Value')).toBeInstanceOf(Unknown);
  });

  test('of a circle are stacks of their own', () => {
    const one: TemplateInput = { ...parent({ Given: { 'Fn::GetAtt': ['Nested', 'Outputs.Given'] } }), parent: { stack: 'Child', logicalId: 'Nested' } };
    const other: TemplateInput = { ...parent({}, { Probe: probe({ Ref: 'Given' }) }), stack: 'Child', parent: { stack: 'Parent', logicalId: 'Nested' } };
    expect(probed(one, other)).toBeInstanceOf(Unknown);
  });
});

describe('SSM parameters', () => {
  const written = (name: unknown, value: unknown, where: object = {}): TemplateInput => (
    { stack: `Of ${JSON.stringify(name)}`, ...where, template: { Resources: { Parameter: { Type: 'AWS::SSM::Parameter', Properties: { Name: name, Value: value } } } } });
  const reader = (value: unknown, where: object = {}, parameters: object = {}): TemplateInput => (
    { stack: 'Reader', ...where, template: { Parameters: parameters, Resources: { Probe: probe(value) } } });

  test('of the set are read by dynamic references', () => {
    expect(probed(written('/type', 'trn2.48xlarge'), reader('{{resolve:ssm:/type}}'))).toBe('trn2.48xlarge');
    expect(probed(written({ 'Fn::Sub': '/${AWS::Region}/type' }, 'trn2', place), reader('{{resolve:ssm:/us-east-2/type}}.48xlarge', place))).toBe('trn2.48xlarge');
    expect(probed(written('/type', 'a', place), reader('{{resolve:ssm:/type}}', { ...place, region: 'us-west-2' }))).toBeInstanceOf(Unknown);
    expect(probed(written('/type', '{{resolve:ssm:/other}}'), written('/other', '{{resolve:ssm:/type}}'), reader('{{resolve:ssm:/type}}'))).toBeInstanceOf(Unknown);
  });

  test.each<[string, unknown, string | undefined]>([
    ['a dynamic reference', '{{resolve:ssm:/aws/service/image}}', '/aws/service/image'],
    ['a dynamic reference with a version', '{{resolve:ssm:/aws/service/image:3}}', '/aws/service/image'],
    ['a dynamic reference made by a function', { 'Fn::Sub': ['{{resolve:ssm:/aws/service/${V}}}', { V: 'image' }] }, '/aws/service/image'],
    ['a reference that EC2 follows', 'resolve:ssm:/aws/service/image:3', '/aws/service/image'],
    ['a parameter of an SSM type', { Ref: 'Image' }, '/aws/service/image'],
    ['a secret', '{{resolve:secretsmanager:/aws/service/image}}', undefined],
    ['a text', 'ami-1', undefined],
  ])('are named by %s', (_, value, name) => {
    const parameters = { Image: { Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: '/aws/service/image' } };
    expect(ssmParameterOf(probed(reader(value, {}, parameters)))).toBe(name);
  });

  test('carry references of the CDK from region to region', () => {
    const name = '/cdk/exports/Reader/Group';
    const writer: TemplateInput = {
      stack: 'Writer',
      ...place,
      template: {
        Resources: {
          Group: { Type: 'AWS::EC2::SecurityGroup' },
          Writer: {
            Type: 'Custom::CrossRegionExportWriter',
            Properties: { WriterProps: { region: 'us-west-2', exports: { [name]: { 'Fn::GetAtt': ['Group', 'GroupId'] } } } },
          },
        },
      },
    };
    const reading = (region: string): TemplateInput => ({
      stack: 'Reader',
      ...place,
      region,
      template: {
        Resources: {
          Reader: { Type: 'Custom::CrossRegionExportReader', Properties: { ReaderProps: { region, prefix: 'Reader', imports: { [name]: `{{resolve:ssm:${name}}}` } } } },
          Probe: probe({ 'Fn::GetAtt': ['Reader', name] }),
        },
      },
    });
    expect(show(probed(writer, reading('us-west-2')))).toBe('{"Fn::GetAtt":["Group","GroupId"]}');
    expect(show(probed(writer, reading('eu-west-1')))).toBe(`{"Fn::GetAtt":["Reader","${name}"]}`);
  });
});

describe('a security group whose rules something else may add to', () => {
  test.each(['Custom::Rules', 'AWS::CloudFormation::CustomResource', 'AWS::CloudFormation::Stack', 'Vendor::Network::Rules', 'My::Rules::Egress::MODULE'])(
    'is not said to lack one, when it is given to %s', (type) => {
      const template = efaFleet();
      delete template.Resources.FabricEgress;
      const group = template.Resources.LaunchTemplate.Properties.LaunchTemplateData.NetworkInterfaces[0].Groups[0];
      const check = () => checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
      expect(check().findings.map(({ rule }) => rule.id)).toEqual(['EfaSelfEgressMissing']);
      template.Resources.Other = { Type: type, Properties: { ServiceToken: 'arn:aws:lambda:us-east-2:111122223333:function:f', TemplateURL: 'https://example.com/t', Groups: [group] } };
      const { findings, unchecked } = check();
      expect(findings).toEqual([]);
      expect(unchecked.map(({ rule }) => rule.id)).toContain('EfaSelfEgressMissing');
    });
});
