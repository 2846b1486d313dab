import { readdirSync, readFileSync } from 'fs';
import { join } from 'path';
import { App } from 'aws-cdk-lib';
import * as fc from 'fast-check';
import { efaFleet } from './efa-fleet';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import { checkTemplates, CheckResult } from '../../src/validation/check-templates';
import { Resource } from '../../src/validation/graph/template-graph';

const RUNS = 100_000;
const SEED = 20_261_125;

/** Reads of resources that one check may take: rules that look at pairs of resources would need more. */
const MAX_READS = 50_000;

const FIXTURES = join(__dirname, 'fixtures');

const fixtures = readdirSync(FIXTURES).filter((name) => /\.(fail|pass)\.json$/.test(name))
  .map((name) => JSON.stringify(JSON.parse(readFileSync(join(FIXTURES, name), 'utf8'))));
const quickStart = () => {
  const app = new App();
  new QuickStartStack(app, 'QuickStart');
  return JSON.stringify(app.synth().getStackByName('QuickStart').template);
};
const templates = (): fc.Arbitrary<string> => fc.oneof(
  // most of them small: 100,000 shall take no longer than a minute or two.
  { weight: 900, arbitrary: fc.constantFrom(...fixtures.filter((text) => text.length < 1_500)) },
  { weight: 100, arbitrary: fc.constantFrom(...fixtures, JSON.stringify(efaFleet())) },
  { weight: 1, arbitrary: fc.constant(quickStart()) },
);

/** Values that no property expects. */
const ODD: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, '', ' ', 0, -1, 1.5, 1e21, '-1', 'true', [], {}, [[]], [null], { Ref: 'AWS::NoValue' }, { Ref: 'Nowhere' },
    { Ref: 1 }, { 'Fn::If': ['C', 1, { Ref: 'AWS::NoValue' }] }, { 'Fn::If': [] }, { 'Fn::GetAtt': 'a' }, { 'Fn::GetAtt': ['a', {}] }, { 'Fn::Sub': '${' },
    { 'Fn::Sub': ['${a}', null] }, { 'Fn::Join': [',', 'a'] }, { 'Fn::Select': ['x', []] }, { 'Fn::Transform': {} }, { 'Fn::ForEach::A': [] },
    '{{resolve:ssm:/a}}', '{{resolve:secretsmanager:a}}', 'resolve:ssm:/a', JSON.parse('{"__proto__": {"toString": 1}}'), 'constructor', '\u0000', '日本語'),
  fc.string(),
  fc.integer(),
);

const WRAPS: readonly ((value: unknown) => unknown)[] = [
  (value) => [value],
  (value) => ({ Value: value }),
  (value) => ({ 'Fn::If': ['C', value, { Ref: 'AWS::NoValue' }] }),
  (value) => ({ 'Fn::If': ['C', { Ref: 'AWS::NoValue' }, value] }),
  (value) => ({ 'Fn::Join': ['', [value]] }),
  (value) => ({ 'Fn::Join': ['', ['a', value]] }),
  (value) => ({ 'Fn::Sub': ['${V}', { V: value }] }),
  (value) => ({ 'Fn::Select': [0, [value]] }),
  (value) => ({ 'Fn::Split': [',', value] }),
  (value) => ({ 'Fn::Base64': value }),
  (value) => ({ 'Fn::ToJsonString': value }),
  (value) => JSON.stringify(value),
  (value) => String(typeof value === 'object' ? Object.keys(value ?? {}) : value),
  (value) => typeof value === 'object' && value !== null ? Object.values(value) : value,
];

type Mutation = (owner: any, key: string) => void;

const mutations: fc.Arbitrary<Mutation> = fc.oneof(
  fc.constant<Mutation>((owner, key) => { delete owner[key]; }),
  ODD.map((value): Mutation => (owner, key) => { owner[key] = value; }),
  fc.constantFrom(...WRAPS).map((wrap): Mutation => (owner, key) => { owner[key] = wrap(owner[key]); }),
  fc.nat().map((other): Mutation => (owner, key) => { owner[key] = Object.values(owner)[other % Object.keys(owner).length]; }),
  fc.constant<Mutation>((owner, key) => { if (Array.isArray(owner)) { owner.push(owner[Number(key)]); } else { owner[`${key}Again`] = owner[key]; } }),
  fc.constantFrom('Ref', 'Fn::GetAtt', 'Fn::Transform', '__proto__', 'Properties', 'Type', 'Condition').map((name): Mutation => (owner, key) => {
    const value = owner[key];
    delete owner[key];
    Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });
  }),
  fc.constantFrom('AWS::EC2::LaunchTemplate', 'AWS::EC2::SecurityGroup', 'AWS::EC2::Subnet', 'AWS::ECS::Service', 'AWS::CloudFormation::Stack', 'Custom::Any')
    .map((type): Mutation => (owner) => { if (typeof owner.Type === 'string') { owner.Type = type; } }),
);

function placesOf(value: unknown, places: [any, string][]): [any, string][] {
  if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      places.push([value, key]);
      placesOf(item, places);
    }
  }
  return places;
}

function isWellFormed({ findings, unchecked, problems }: CheckResult): boolean {
  const texts = [...findings.map(({ message }) => message), ...problems.flatMap(({ message, mend }) => [message, mend])];
  return texts.every((text) => text !== '' && !/\[object |undefined|NaN/.test(text) && text.length < 5_000)
    && findings.every(({ property }) => /^Properties(\..|$)/.test(property))
    && unchecked.every(({ places }) => places.length > 0 && places.every(({ reason }) => typeof reason === 'string' && reason !== ''));
}

describe('mutated templates', () => {
  const { attribute } = Resource.prototype;
  let reads = 0;

  beforeAll(() => {
    Resource.prototype.attribute = function (this: Resource, ...path: [string, ...string[]]) {
      reads += 1;
      return attribute.apply(this, path);
    };
  });

  afterAll(() => {
    Resource.prototype.attribute = attribute;
  });

  test(`${RUNS} of them make no rule throw, give a whole result, and take few reads`, () => {
    const steps = fc.array(fc.tuple(fc.nat(), mutations), { minLength: 1, maxLength: 3 });
    fc.assert(fc.property(templates(), steps, fc.nat(4), (text, changes, condition) => {
      const template = JSON.parse(text);
      if (condition === 0) {
        template.Parameters = { ...template.Parameters, P: { Type: 'String' } };
        template.Conditions = { ...template.Conditions, C: { 'Fn::Equals': [{ Ref: 'P' }, 'a'] } };
      }
      const before = placesOf(template, []);
      for (const [at, mutate] of changes) {
        const [owner, key] = before[at % before.length];
        mutate(owner, key);
      }
      reads = 0;
      const result = checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
      return isWellFormed(result) && reads < MAX_READS;
    }), { numRuns: RUNS, seed: SEED });
  }, 300_000);
});
