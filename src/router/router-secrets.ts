import { Stack, Token, TokenComparison, aws_ecs as ecs, aws_iam as iam, aws_kms as kms, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/**
 * Lets somebody read a secret, and use the key that it is encrypted with. `secret.grantRead` says the latter in the policy of the key alone, which says nothing
 * of an imported key, and has the stack of a key depend on those of its readers.
 */
export function grantReadSecret(secret: secretsmanager.ISecret, grantee: iam.IGrantable): iam.Grant {
  const { encryptionKey: key } = secret;
  if (key === undefined) {
    return secret.grantRead(grantee);
  }
  const { arn, conditions } = inPolicies(key);
  const decrypt = iam.Grant.addToPrincipal({
    grantee,
    actions: ['kms:Decrypt'],
    resourceArns: [arn],
    conditions: { StringEquals: { 'kms:ViaService': `secretsmanager.${secret.env.region}.amazonaws.com` }, ...conditions },
  });
  if (!isOfAnotherStack(grantee.grantPrincipal, Stack.of(key))) {
    return secret.grantRead(grantee).combine(decrypt);
  }
  return iam.Grant.addToPrincipal({
    grantee,
    actions: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
    // Secrets Manager adds six characters to the name of a secret.
    resourceArns: [secret.secretFullArn ?? `${secret.secretArn}-??????`],
  }).combine(decrypt);
}

/** A key as policies name it: an alias is none of their resources, but a condition. */
function inPolicies(key: kms.IKey): { arn: string; conditions?: object } {
  return isAlias(key)
    ? { arn: Stack.of(key).formatArn({ service: 'kms', resource: 'key', resourceName: '*' }), conditions: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': key.aliasName } } }
    : { arn: key.keyArn };
}

function isAlias(key: kms.IKey): key is kms.IAlias {
  return 'aliasName' in key;
}

/** Whether a principal is defined by another stack than the given one, in the same account: its own policy is enough. */
function isOfAnotherStack(principal: iam.IPrincipal, stack: Stack): boolean {
  return Construct.isConstruct(principal) && Stack.of(principal) !== stack
    && Token.compareStrings(Stack.of(principal).account, stack.account) !== TokenComparison.DIFFERENT;
}

/** A secret that a container is started with: whoever starts it may use the key. */
export class ContainerSecret extends ecs.Secret {
  public readonly arn: string;
  public readonly hasField = false;

  constructor(private readonly secret: secretsmanager.ISecret) {
    super();
    this.arn = secret.secretArn;
  }

  public grantRead(grantee: iam.IGrantable): iam.Grant {
    return grantReadSecret(this.secret, grantee);
  }
}
