import { aws_iam as iam } from 'aws-cdk-lib';
import { Construct } from 'constructs';

/**
 * A role whose grants go into a managed policy: HIPAA, NIST and PCI ask for no inline ones, which grants make otherwise.
 */
export class ManagedRole extends iam.Role {
  private policy?: iam.ManagedPolicy;
  private complete = false;

  constructor(scope: Construct, id: string, props: iam.RoleProps) {
    super(scope, id, props);
  }

  public addToPrincipalPolicy(statement: iam.PolicyStatement): iam.AddToPrincipalPolicyResult {
    if (this.complete) {
      return super.addToPrincipalPolicy(statement);
    }
    this.policy ??= new iam.ManagedPolicy(this, 'Policy', { roles: [this], description: 'What the construct of this role grants it' });
    this.policy.addStatements(statement);
    return { statementAdded: true, policyDependable: this.policy };
  }

  /** From here on grants are the user's own, and go where those of any role go. */
  public completePolicy(): void {
    this.complete = true;
  }
}
