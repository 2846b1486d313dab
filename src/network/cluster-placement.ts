import { Tokenization, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { ProblemsError } from '../problems';
import { IEfaPlacementGroup } from './efa-placement-group';
import { LaunchTemplateMixin } from './launch-template-mixin';

/**
 * Launches the instances of a launch template into the cluster placement group of an `EfaPlacementGroup`, which is defined if it was not yet.
 *
 * Nothing changes where the group's strategy is `EfaPlacementStrategy.none()`.
 *
 * Throws a `ProblemsError` (`CapacityBlockPlacementGroup`) for a template that launches into a Capacity Block: its instances are co-located
 * already, and a placement group makes EC2 answer `InsufficientInstanceCapacity` though the block has room.
 */
export class ClusterPlacement extends LaunchTemplateMixin {
  private readonly efa: IEfaPlacementGroup;

  /**
   * @param efa where the instances run.
   */
  constructor(efa: IEfaPlacementGroup) {
    super();
    this.efa = efa;
  }

  protected change(data: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty, path: string): ec2.CfnLaunchTemplate.LaunchTemplateDataProperty {
    const market = data.instanceMarketOptions;
    if (market !== undefined && !Tokenization.isResolvable(market) && market.marketType === 'capacity-block') {
      throw new ProblemsError([{
        rule: 'CapacityBlockPlacementGroup',
        path: `${path}.launchTemplateData.placement`,
        message: 'a Capacity Block cannot be launched into a placement group, its instances are co-located already',
        mend: 'leave the placement out',
      }]);
    }
    const group = this.efa.requirePlacementGroup();
    return group === undefined ? data : { ...data, placement: { ...data.placement, groupName: group.placementGroupName } };
  }
}
