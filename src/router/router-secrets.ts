import { Stack, Token, TokenComparison, aws_ecs as ecs, aws_iam as iam, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
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
  const decrypt = iam.Grant.addToPrincipal({
    grantee,
    actions: ['kms:Decrypt'],
    resourceArns: [key.keyArn],
    conditions: { StringEquals: { 'kms:ViaService': `secretsmanager.${secret.env.region}.amazonaws.com` } },
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
