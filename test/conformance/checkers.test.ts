import { Checker, Remark, Templates, cdkPreflight, cdkValidator, cfnLint, fixtures } from './checkers';
import { examples } from './examples';

/** An error of another checker about a valid template, and why the checker is wrong. */
interface Exception {
  readonly rule: string;
  readonly template: RegExp;
  readonly message: RegExp;
}

const CHECKERS: { name: string; checker: Checker; exceptions: Exception[] }[] = [
  {
    name: 'cfn-lint',
    checker: cfnLint,
    exceptions: [
      // its data has p6-b300.48xlarge in us-west-2 but not in us-east-2, where all fixtures are; where a type is offered changes by the week and
      // is no matter of the rule, which needs a type with a card that has no EFA: pypi:cfn-lint@1.58.0.
      { rule: 'E3628', template: /^NetworkCardWithoutEfa /, message: /^'p6-b300\.48xlarge' is not one of/ },
    ],
  },
  { name: 'the validator of the CDK', checker: cdkValidator, exceptions: [] },
  {
    name: 'cdk-preflight',
    checker: cdkPreflight,
    exceptions: [
      // two of its rules mean to skip a container that does not say Memory or HostPort, but read that as 0, since to_number(null) is 0 in Rego:
      // npm:cdk-preflight@0.0.143 lib/rules.generated.js. MemoryReservation may stand alone:
      // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-taskdefinition-containerdefinition.html,
      // and so may ContainerPort in the host network:
      // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-ecs-taskdefinition-portmapping.html.
      { rule: 'pf-ecs-container-memory-reservation', template: /^(Kv[A-Za-z]+ (pass|mended)|QuickStart)$/, message: / above Memory 0;/ },
      { rule: 'pf-ecs-host-network-host-port-mismatch', template: /^QuickStart$/, message: / to host port 0 while / },
    ],
  },
];

describe.each(CHECKERS)('$name', ({ checker, exceptions }) => {
  let errors: Remark[];

  beforeAll(() => {
    const templates: Templates = new Map([
      ...[...fixtures('pass')].map(([id, template]): [string, object] => [`${id} pass`, template]),
      ...[...fixtures('mended')].map(([id, template]): [string, object] => [`${id} mended`, template]),
      ...examples(),
    ]);
    errors = checker(templates).filter(({ isError }) => isError);
  }, 180_000);

  const isMeant = (error: Remark) => ({ rule, template, message }: Exception) => (
    rule === error.rule && template.test(error.template) && message.test(error.message));

  test('finds no error in the examples, the passing templates and the mended ones', () => {
    expect(errors.filter((error) => !exceptions.some(isMeant(error)))).toEqual([]);
  });

  test('is still wrong where it is said to be', () => {
    expect(exceptions.filter((exception) => !errors.some((error) => isMeant(error)(exception)))).toEqual([]);
  });
});
