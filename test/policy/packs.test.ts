import { readFileSync } from 'fs';
import { join } from 'path';
import { App, Stack, aws_s3 as s3 } from 'aws-cdk-lib';
import { AwsSolutionsChecks, HIPAASecurityChecks, NagPack, NIST80053R5Checks, PCIDSS321Checks } from 'cdk-nag';
import { Construct } from 'constructs';
import { EksNodeGroupStack } from '../../examples/eks-node-group/eks-node-group-stack';
import { QuickStartStack } from '../../examples/quick-start/quick-start-stack';
import { policyPage } from '../../projenrc/policy-page';
import { PolicyAcknowledgements } from 'cdk-disaggregated-inference';

const PACKS: { [name: string]: () => NagPack } = {
  'AwsSolutions': () => new AwsSolutionsChecks(),
  'HIPAA.Security': () => new HIPAASecurityChecks(),
  'NIST.800.53.R5': () => new NIST80053R5Checks(),
  'PCI.DSS.321': () => new PCIDSS321Checks(),
};

const CHOICES = PolicyAcknowledgements.findings().filter(({ option }) => option !== undefined);

/** Findings over what the EKS example defines by itself. */
const OWN_OF_EKS: { [pack: string]: string[] } = {
  AwsSolutions: [
    'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly]',
    'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonEKSClusterPolicy]',
    'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonEKSWorkerNodePolicy]',
    'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonEKS_CNI_Policy]',
    'AwsSolutions-VPC7',
  ],
  ...Object.fromEntries(['HIPAA.Security', 'NIST.800.53.R5', 'PCI.DSS.321'].map((pack) => [pack, [
    'VPCDefaultSecurityGroupClosed', 'VPCFlowLogsEnabled', 'VPCNoUnrestrictedRouteToIGW', 'VPCSubnetAutoAssignPublicIpDisabled',
  ].map((rule) => `${pack}-${rule}`)])),
};

function findings(scope: Construct, pack: string): string[] {
  return PACKS[pack]().validateScope(scope).violations.map(({ ruleName }) => ruleName).sort();
}

function rulesOf(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.replace(/\[.*$/, '')))].sort();
}

describe.each(Object.keys(PACKS))('%s', (pack) => {
  const documented = rulesOf(PolicyAcknowledgements.findings().filter(({ packs }) => packs.includes(pack)).map(({ rule }) => `${pack}-${rule}`));

  test('finds in the quick-start exactly what is documented', () => {
    expect(rulesOf(findings(new QuickStartStack(new App(), 'QuickStart'), pack))).toEqual(documented);
  });

  test('finds nothing in the quick-start once everything is acknowledged', () => {
    const stack = new QuickStartStack(new App(), 'QuickStart');
    PolicyAcknowledgements.unavoidable(stack);
    const left = rulesOf(findings(stack, pack));
    expect(left).toEqual(rulesOf(CHOICES.filter(({ packs }) => packs.includes(pack)).map(({ rule }) => `${pack}-${rule}`)));

    PolicyAcknowledgements.choices(stack, ...CHOICES.map(({ rule }) => rule));
    expect(findings(stack, pack)).toEqual([]);
  });

  test('finds in the EKS example what that defines itself, and the EFA security group', () => {
    const stack = new EksNodeGroupStack(new App(), 'EksNodeGroup');
    const efa = pack === 'AwsSolutions' ? [] : [`${pack}-EC2RestrictedCommonPorts`];
    expect(findings(stack, pack)).toEqual([...OWN_OF_EKS[pack], ...efa].sort());

    PolicyAcknowledgements.unavoidable(stack);
    PolicyAcknowledgements.choices(stack, ...CHOICES.map(({ rule }) => rule));
    expect(findings(stack, pack)).toEqual(OWN_OF_EKS[pack]);
  });

  test('still finds what is not of this library', () => {
    const stack = new QuickStartStack(new App(), 'QuickStart');
    const own = findings(new BucketStack(), pack);
    new s3.Bucket(stack, 'Own');
    PolicyAcknowledgements.unavoidable(stack);
    PolicyAcknowledgements.choices(stack, ...CHOICES.map(({ rule }) => rule));

    expect(own).not.toEqual([]);
    expect(findings(stack, pack)).toEqual(own);
  });
});

test('a rule that is not one of the choices is refused, with the nearest', () => {
  expect(() => PolicyAcknowledgements.choices(new Stack(), 'ELBDeletionProtection', 'ECSTaskDefinitionUserForHostMode'))
    .toThrow(/"ELBDeletionProtection".*ELBDeletionProtectionEnabled[^]*"ECSTaskDefinitionUserForHostMode"/);
});

test('POLICY.md is what `npx projen policy:page` writes', () => {
  expect(readFileSync(join(__dirname, '../../POLICY.md'), 'utf8')).toBe(policyPage());
});

class BucketStack extends Stack {
  constructor() {
    super(new App(), 'QuickStart');
    new s3.Bucket(this, 'Own');
  }
}
