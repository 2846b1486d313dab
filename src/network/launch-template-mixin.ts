import { Mixin, Tokenization, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { ProblemsError } from '../problems';

/**
 * A change to the data of a launch template: apply it to an `ec2.LaunchTemplate` or an `ec2.CfnLaunchTemplate` with `.with(...)`.
 */
export abstract class LaunchTemplateMixin extends Mixin {
  /**
   * Whether the construct is a launch template.
   */
  public supports(construct: IConstruct): construct is ec2.CfnLaunchTemplate {
    return ec2.CfnLaunchTemplate.isCfnLaunchTemplate(construct);
  }

  /**
   * Changes the launch template. Other constructs are left alone.
   *
   * Throws a `ProblemsError` with every reason why the template cannot be changed.
   */
  public applyTo(construct: IConstruct): void {
    if (!this.supports(construct)) {
      return;
    }
    const data = construct.launchTemplateData;
    if (Tokenization.isResolvable(data)) {
      throw new ProblemsError([{
        rule: 'LaunchTemplateDataUnresolved',
        path: `${construct.node.path}.launchTemplateData`,
        message: 'launchTemplateData is a token, so nothing can be added to it',
        mend: 'pass launchTemplateData as an object',
      }]);
    }
    construct.launchTemplateData = this.change(data as ec2.CfnLaunchTemplate.LaunchTemplateDataProperty, construct.node.path);
  }

  /**
   * The data after the change.
   *
   * Throws a `ProblemsError` with every reason why it cannot be changed.
   *
   * @param data the data as it is.
   * @param path the construct's path, for messages.
   */
  protected abstract change(data: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty, path: string): ec2.CfnLaunchTemplate.LaunchTemplateDataProperty;
}
