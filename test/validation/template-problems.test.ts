import { efaFleet } from './efa-fleet';
import { checkTemplates } from '../../src/validation/check-templates';

const problemsOf = (template: unknown) => checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]).problems;
const ofProperty = (value: unknown, more: object = {}) => ({ ...more, Resources: { Group: { Type: 'Test::Any', Properties: { Value: value } } } });

describe('a template that CloudFormation refuses', () => {
  test.each<[string, unknown, string, string]>([
    ['a list', [], '', 'the template is a list'],
    ['nothing', null, '', 'the template is empty'],
    ['without resources', {}, '', 'the template has no section Resources'],
    ['resources as a list', { Resources: [] }, 'Resources', 'Resources is a list'],
    ['outputs as a text', { ...ofProperty(1), Outputs: 'a' }, 'Outputs', 'Outputs is a text'],
    ['a resource that is a text', { Resources: { Group: 'a' } }, 'Resources.Group', 'the resource is a text'],
    ['a resource without a type', { Resources: { Group: {} } }, 'Resources.Group', 'the resource has no Type'],
    ['a type that is a list', { Resources: { Group: { Type: [] } } }, 'Resources.Group', 'Type of the resource is a list'],
    ['properties as a list', { Resources: { Group: { Type: 'Test::Any', Properties: [] } } }, 'Resources.Group.Properties', 'Properties is a list'],
    ['a condition that is a map', { Resources: { Group: { Type: 'Test::Any', Condition: {} } } }, 'Resources.Group.Condition', 'Condition of the resource is a map'],
    ...[
      { Ref: ['a'] }, { 'Fn::GetAtt': 'Nobody' }, { 'Fn::GetAtt': ['Nobody'] }, { 'Fn::Sub': [] }, { 'Fn::Join': ['a'] }, { 'Fn::Join': [',', 'a'] },
      { 'Fn::Split': ['a'] }, { 'Fn::Select': [0] }, { 'Fn::If': ['C', 1] }, { 'Fn::FindInMap': ['a', 'b'] }, { 'Fn::Cidr': ['10.0.0.0/16'] },
      { 'Fn::Base64': ['a'] }, { 'Fn::ImportValue': ['a'] },
    ].map((call): [string, unknown, string, string] => {
      const [name] = Object.keys(call);
      return [JSON.stringify(call), ofProperty([call]), `Resources.Group.Properties.Value.0.${name}`, `${name} has arguments that it does not take`];
    }),
    ...[{ Ref: 'Group' }, { 'Fn::GetAtt': ['Group', 'Id'] }, { 'Fn::GetAtt': 'Group.Id' }, { 'Fn::Sub': 'a-${Group.Id}' }].map((reference): [string, unknown, string, string] => (
      [`a resource with ${JSON.stringify(reference)} to itself`, ofProperty([{ SourceSecurityGroupId: reference }]), 'Resources.Group', 'the resource refers to itself'])),
    ['a resource that waits for another one that waits for it', {
      Resources: {
        Group: { Type: 'Test::Any', Properties: { Value: { Ref: 'Other' } } },
        Other: { Type: 'Test::Any', DependsOn: ['Last'] },
        Last: { Type: 'Test::Any', Properties: { Value: { 'Fn::Sub': ['${a}${Group}', { a: 1 }] } } },
      },
    }, 'Resources.Group', 'the resource waits for itself, by way of Other, Last'],
    ['a condition without arguments', { ...ofProperty(1), Conditions: { C: { 'Fn::Not': [] } } }, 'Conditions.C.Fn::Not', 'Fn::Not has arguments that it does not take'],
  ])('%s', (_, template, path, message) => {
    const problems = problemsOf(template);
    expect(problems.map((problem) => [problem.path, problem.message])).toEqual([[path, message]]);
    expect(problems[0]).toMatchObject({ stack: 'Fleet', logicalId: path.startsWith('Resources.') ? 'Group' : undefined });
    expect(problems[0].mend).toMatch(/^[a-z].*[^.]$/);
  });

  test('is told all of it, beside what the rules find in the rest', () => {
    const template: any = efaFleet();
    template.Resources.Nameless = {};
    template.Resources.Vpc.Properties.CidrBlock = { 'Fn::Join': [] };
    template.Resources.LaunchTemplate.Properties.LaunchTemplateData.InstanceType = 'trn2.96xlarge';
    const { findings, problems } = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
    expect(findings.map(({ rule }) => rule.id)).toEqual(['NeuronInstanceTypeUnknown']);
    expect(problems.map(({ logicalId }) => logicalId)).toEqual(['Nameless', 'Vpc']);
  });

  test('has more cycles than can be told, and is told a hundred of them', () => {
    const id = (index: number) => `R${index}`;
    const resources = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => (
      [id(index), { Type: 'Test::Any', DependsOn: [id(0), id((index + 1) % 20_000)] }])));
    const problems = problemsOf({ Resources: resources });
    expect(problems).toHaveLength(100);
    expect(problems[99].message).toBe('the resource waits for itself, by way of R1, R2, R3, R4, R5, 94 more');
  });

  test('a thousand times is told a hundred', () => {
    expect(problemsOf({ Resources: Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`R${index}`, {}])) })).toHaveLength(100);
  });
});

describe('a template that CloudFormation may take', () => {
  test.each<[string, unknown]>([
    ['an ordinary one', efaFleet()],
    ['one whose macro gives meaning to any arguments', ofProperty({ 'Fn::Join': 'a' }, { Transform: 'MyMacro' })],
    ['one without resources that a macro makes', { Transform: ['MyMacro'] }],
    ['one with functions of the language extensions', ofProperty({ 'Fn::FindInMap': ['a', 'b', 'c', { DefaultValue: 1 }] }, { Transform: 'AWS::LanguageExtensions' })],
    ['one whose resource refers to itself in a branch only', { ...ofProperty({ 'Fn::If': ['Never', { Ref: 'Group' }, 1] }), Conditions: { Never: { 'Fn::Equals': [1, 2] } } }],
    ['one with a variable of the name of the resource', ofProperty({ 'Fn::Sub': ['${Group}', { Group: 1 }] })],
    ['one whose text only looks like a reference', ofProperty({ 'Fn::Sub': 'a ${!Group} and ${AWS::Region}' })],
    ['one where two resources wait for a third', {
      Resources: {
        A: { Type: 'Test::Any', DependsOn: 'C', Properties: { Value: { Ref: 'B' } } },
        B: { Type: 'Test::Any', DependsOn: 'C' },
        C: { Type: 'Test::Any' },
      },
    }],
    ['one with a function that is new', ofProperty({ 'Fn::Unheard': [1, 2, 3] })],
    ['one with a map that only looks like a function', ofProperty({ 'Fn::Join': 1, 'Other': 2 })],
    ['one with a snippet for an argument', ofProperty({ 'Fn::Sub': { 'Fn::Transform': { Name: 'DynamicUserData' } } })],
    ['one with a snippet for a resource', { Resources: { Group: { 'Fn::Transform': { Name: 'AWS::Include' } }, Other: { Type: 'Test::Any' } } }],
  ])('%s', (_, template) => {
    expect(problemsOf(template)).toEqual([]);
  });
});
