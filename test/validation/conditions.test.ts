import { efaFleet, Template } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';
import { RULES } from '../../src/validation/rules';

const check = (template: object, region: string | undefined = 'us-east-2') => checkTemplates([{ stack: 'Fleet', region, template }]);
const idsOf = (template: object) => check(template).findings.map(({ rule }) => rule.id);
const whens = (template: object) => check(template).findings.map(({ rule, when }) => [rule.id, when]);

const equals = (name: string, text: string) => ({ 'Fn::Equals': [{ Ref: name }, text] });
const not = (condition: object) => ({ 'Fn::Not': [condition] });

/** The fleet with a parameter `Purchase` and a condition that depends on it. */
function conditionalFleet(condition: object = equals('Purchase', 'spot'), purchase: object = { Type: 'String' }): Template {
  return { ...efaFleet(), Parameters: { Purchase: purchase }, Conditions: { IsSpot: condition } };
}

describe('a resource with a condition', () => {
  test('that is needed is missed where the condition does not hold, and there alone', () => {
    const template = conditionalFleet();
    template.Resources.FabricEgress.Condition = 'IsSpot';
    const { findings } = check(template);
    expect(findings.map(({ rule, message }) => [rule.id, message])).toEqual([
      ['EfaSelfEgressMissing', 'the security group of an EFA interface has no rule to itself, and EFA needs all traffic, when Purchase is not "spot"'],
    ]);
  });

  test('has a counterpart under the opposite condition', () => {
    const template = conditionalFleet();
    template.Conditions.IsNot = not({ Condition: 'IsSpot' });
    template.Resources.FabricEgress.Condition = 'IsSpot';
    template.Resources.OtherEgress = { ...template.Resources.FabricEgress, Condition: 'IsNot' };
    expect(idsOf(template)).toEqual([]);
  });

  test('is not there where the condition never holds', () => {
    const template = conditionalFleet({ 'Fn::Equals': ['a', 'b'] });
    template.Resources.FabricEgress.Condition = 'IsSpot';
    expect(whens(template)).toEqual([['EfaSelfEgressMissing', undefined]]);
  });

  test.each<[string, object]>([
    ['a list', { 'Fn::Equals': [{ 'Fn::Join': ['', { Ref: 'Purchase' }] }, ''] }],
    ['another parameter', { 'Fn::Equals': [{ Ref: 'Purchase' }, { Ref: 'Other' }] }],
    ['nothing', { 'Fn::Or': [] }],
  ])('is neither certainly there nor missing where the condition depends on %s', (_, condition) => {
    const template = conditionalFleet(condition);
    template.Resources.FabricEgress.Condition = 'IsSpot';
    template.Resources.LaunchTemplate.Condition = 'Unheard';
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = 'trn2.96xlarge';
    expect(idsOf(template)).toEqual([]);
  });
});

describe('a value with a condition', () => {
  const withType = (condition: object, purchase?: object) => {
    const template = conditionalFleet(condition, purchase);
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = { 'Fn::If': ['IsSpot', 'trn2.96xlarge', 'trn2.48xlarge'] };
    return template;
  };

  test.each<[string, object, object, string | undefined]>([
    ['a parameter', equals('Purchase', 'spot'), { Type: 'String' }, 'Purchase is "spot"'],
    ['its opposite', not(equals('Purchase', 'spot')), { Type: 'String' }, 'Purchase is not "spot"'],
    ['one of two texts', { 'Fn::Or': [equals('Purchase', 'spot'), equals('Purchase', 'od')] }, { Type: 'String' }, 'Purchase is "spot" or "od"'],
    ['neither of two texts', not({ 'Fn::Or': [equals('Purchase', 'spot'), equals('Purchase', 'od')] }), { Type: 'String' }, 'Purchase is neither "spot" nor "od"'],
    ['allowed values', equals('Purchase', 'spot'), { Type: 'String', AllowedValues: ['spot', 'od', 'block'] }, 'Purchase is "spot"'],
    ['the other one of two allowed values', not(equals('Purchase', 'spot')), { Type: 'String', AllowedValues: ['spot', 'od'] }, 'Purchase is "od"'],
    ['the one allowed value', equals('Purchase', 'spot'), { Type: 'String', AllowedValues: ['spot'] }, undefined],
    ['a number', equals('Purchase', '1'), { Type: 'Number', AllowedValues: [0, 1] }, 'Purchase is "1"'],
    ['a text with nothing unknown', { 'Fn::Equals': ['a', { 'Fn::Join': ['', ['a']] }] }, { Type: 'String' }, undefined],
    ['the region, which is known', { 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'us-east-2'] }, { Type: 'String' }, undefined],
  ])('that depends on %s', (_, condition, purchase, when) => {
    expect(whens(withType(condition, purchase))).toEqual([['NeuronInstanceTypeUnknown', when]]);
  });

  test('that no parameter makes true is never taken', () => {
    expect(whens(withType(equals('Purchase', 'spot'), { Type: 'String', AllowedValues: ['od', 'block'] }))).toEqual([]);
  });

  test.each<[string, object]>([
    ['a pattern', { Type: 'String', AllowedPattern: 'o[a-z]+' }],
    ['a least length', { Type: 'String', MinLength: '5' }],
    ['a greatest length', { Type: 'String', MaxLength: 3 }],
    ['a number', { Type: 'Number' }],
  ])('that %s of the parameter rules out is never taken', (_, parameter) => {
    expect(whens(withType(equals('Purchase', 'spot'), parameter))).toEqual([]);
  });

  test.each<[string, string, object]>([
    ['a pattern', 'spot', { Type: 'String', AllowedPattern: '^s[a-z]+$' }],
    ['a pattern that could take long', 'spot', { Type: 'String', AllowedPattern: '(o+)+' }],
    ['a pattern of many choices', 'spot', { Type: 'String', AllowedPattern: 'o?'.repeat(30) }],
    ['a pattern of another type', 'spot', { Type: 'AWS::EC2::KeyPair::KeyName', AllowedPattern: 'o+' }],
    ['a pattern of Java alone', 'spot', { Type: 'String', AllowedPattern: '(?i)o' }],
    ['lengths', 'spot', { Type: 'String', MinLength: 4, MaxLength: '4' }],
    ['bounds', '3', { Type: 'Number', MinValue: 3, MaxValue: 3 }],
  ])('that %s of the parameter lets be is taken', (_, text, parameter) => {
    expect(whens(withType(equals('Purchase', text), parameter))).toEqual([['NeuronInstanceTypeUnknown', `Purchase is "${text}"`]]);
  });

  test.each([{ MinValue: 4 }, { MaxValue: '2' }])('that is outside %j is never taken', (bounds) => {
    expect(whens(withType(equals('Purchase', '3'), { Type: 'Number', ...bounds }))).toEqual([]);
  });

  test('that depends on a region which is not known', () => {
    const template = withType({ 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'us-east-2'] });
    expect(checkTemplates([{ stack: 'Fleet', template }]).findings.map(({ when }) => when)).toEqual(['AWS::Region is "us-east-2"']);
  });

  test('that depends on two parameters', () => {
    const template = withType({ 'Fn::And': [equals('Purchase', 'spot'), { Condition: 'IsBig' }] });
    template.Parameters.Size = { Type: 'String' };
    template.Conditions.IsBig = equals('Size', 'big');
    expect(whens(template)).toEqual([['NeuronInstanceTypeUnknown', 'Purchase is "spot" and Size is "big"']]);
    template.Conditions.IsSpot = { 'Fn::Or': [equals('Purchase', 'spot'), { Condition: 'IsBig' }] };
    expect(whens(template)).toEqual([['NeuronInstanceTypeUnknown', 'Purchase is "spot" and Size is "big", and with 2 other combinations of parameters']]);
  });

  test('is what it is whatever the condition, when both branches are the same', () => {
    const template = withType({ 'Fn::Or': [] });
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = { 'Fn::If': ['IsSpot', 'trn2.96xlarge', 'trn2.96xlarge'] };
    expect(whens(template)).toEqual([['NeuronInstanceTypeUnknown', undefined]]);
  });

  test('may be nothing', () => {
    const template = conditionalFleet();
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.CapacityReservationSpecification = {
      'Fn::If': ['IsSpot', { Ref: 'AWS::NoValue' }, efaFleet().Resources.LaunchTemplate.Properties.LaunchTemplateData.CapacityReservationSpecification],
    };
    expect(whens(template)).toContainEqual(['CapacityBlockWithoutTarget', 'Purchase is "spot"']);
  });

  test('is the parameter itself, in the world of its value', () => {
    const template = conditionalFleet();
    template.Resources.FabricIngress.Properties.Description = { 'Fn::If': ['IsSpot', 'a', 'b'] };
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceMarketOptions.MarketType = { Ref: 'Purchase' };
    template.Conditions.IsSpot = equals('Purchase', 'on-demand');
    expect(whens(template)).toContainEqual(['MarketTypeUnknown', 'Purchase is "on-demand"']);
  });
});

describe('rules of a template', () => {
  /** A fleet on a Capacity Block that a parameter names, or on none. */
  function reservedFleet(rule?: object): Template {
    const template = conditionalFleet(equals('Purchase', 'block'), { Type: 'String', AllowedValues: ['block', 'other'] });
    template.Parameters.BlockId = { Type: 'String', Default: '' };
    template.Conditions.HasReservation = not(equals('BlockId', ''));
    const data: { [name: string]: unknown } = template.Resources.LaunchTemplate.Properties.LaunchTemplateData;
    data.InstanceMarketOptions = { 'Fn::If': ['IsSpot', { MarketType: 'capacity-block' }, { Ref: 'AWS::NoValue' }] };
    data.CapacityReservationSpecification = {
      'Fn::If': ['HasReservation', { CapacityReservationTarget: { CapacityReservationId: { Ref: 'BlockId' } } }, { Ref: 'AWS::NoValue' }],
    };
    return { ...template, ...rule && { Rules: { Named: rule } } } as Template;
  }
  const isNamed = { Assert: not(equals('BlockId', '')) };
  const withoutTarget = 'CapacityBlockWithoutTarget';

  test.each<[string, object | undefined, boolean]>([
    ['none', undefined, true],
    ['one that asserts it', { RuleCondition: equals('Purchase', 'block'), Assertions: [isNamed] }, false],
    ['one that asserts it whatever the purchase', { Assertions: [isNamed] }, false],
    ['one of values', { Assertions: [{ Assert: { 'Fn::Contains': [['other', 'spot'], { Ref: 'Purchase' }] } }] }, false],
    ['one of values that are not known', { Assertions: [{ Assert: { 'Fn::Contains': [[{ Ref: 'Unheard' }], { Ref: 'Purchase' }] } }] }, true],
    ['one for another purchase', { RuleCondition: equals('Purchase', 'other'), Assertions: [isNamed] }, true],
    ['one that always fails', { Assertions: [{ Assert: { 'Fn::Equals': ['a', 'b'] } }] }, true],
    ['one of a function that is not known', { Assertions: [{ Assert: { 'Fn::EachMemberIn': [['a'], ['b']] } }] }, true],
    ['a malformed one', { RuleCondition: 1, Assertions: [null, 'Assert'] }, true],
  ])('keep parameters from being asked about: %s', (_, rule, expected) => {
    expect(idsOf(reservedFleet(rule)).includes(withoutTarget)).toBe(expected);
  });

  test('leave what is broken in all that they allow without a reason', () => {
    const template = reservedFleet({ Assertions: [isNamed, { Assert: equals('Purchase', 'block') }] });
    delete (template.Resources as { FabricEgress?: unknown }).FabricEgress;
    expect(whens(template)).toContainEqual(['EfaSelfEgressMissing', undefined]);
  });
});

describe('many conditions', () => {
  test('of more parameters than are tried leave some unknown, and say nothing wrong', () => {
    const template = efaFleet();
    const names = Array.from({ length: 40 }, (_, index) => `P${index}`);
    template.Parameters = Object.fromEntries(names.map((name) => [name, { Type: 'String' }]));
    template.Conditions = Object.fromEntries(names.map((name) => [`Is${name}`, equals(name, 'a')]));
    template.Resources.Vpc.Properties.Tags = names.map((name) => ({ Key: name, Value: { 'Fn::If': [`Is${name}`, 'a', 'b'] } }));
    template.Resources.FabricEgress.Condition = 'IsP39';
    expect(check(template).findings).toEqual([]);
    template.Resources.FabricIngress.Condition = 'IsP0';
    expect(check(template).findings.map(({ when }) => when)).not.toContain(undefined);
  });

  test('that come out the same are looked at once', () => {
    const template = conditionalFleet({ 'Fn::Or': ['a', 'b', 'c', 'd'].map((text) => equals('Purchase', text)) });
    template.Resources.Vpc.Properties.EnableDnsSupport = { 'Fn::If': ['IsSpot', true, false] };
    const counted = jest.spyOn(RULES[0], 'check');
    expect(check(template).findings).toEqual([]);
    expect(counted).toHaveBeenCalledTimes(2);
    template.Resources.Vpc.Properties.Tags = [{ Key: 'Purchase', Value: { Ref: 'Purchase' } }];
    expect(check(template).findings).toEqual([]);
    expect(counted).toHaveBeenCalledTimes(2 + 5);
    counted.mockRestore();
  });

  test('that need each other are unknown', () => {
    const template = conditionalFleet(not({ Condition: 'Other' }));
    template.Conditions.Other = not({ Condition: 'IsSpot' });
    template.Resources.FabricEgress.Condition = 'IsSpot';
    expect(idsOf(template)).toEqual([]);
  });

  test('of the metadata of the CDK alone make no world', () => {
    const template = efaFleet();
    template.Conditions = { CDKMetadataAvailable: { 'Fn::Or': [equals('AWS::Region', 'us-east-1'), equals('AWS::Region', 'us-east-2')] } };
    template.Resources.CDKMetadata = { Type: 'AWS::CDK::Metadata', Properties: { Analytics: 'v2' }, Condition: 'CDKMetadataAvailable' };
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = 'trn2.96xlarge';
    expect(checkTemplates([{ stack: 'Fleet', template }]).findings.map(({ when }) => when)).toEqual([undefined]);
  });
});
