import { Fn, Token, Tokenization, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { NeuronInstanceType } from '../hardware';
import { LaunchTemplateMixin } from '../network';
import { Problem, Problems } from '../problems';
import { Purchase } from './purchase';

/**
 * Makes a launch template buy its instances in a given way: replaces what it says of market options and Capacity Reservations.
 *
 * A Capacity Block needs both the market type `capacity-block` and the reservation as target: without the first EC2 answers
 * `The market type (purchasing) option is not valid`.
 *
 * Throws a `ProblemsError` if the template has a placement group that the purchase does not allow (`PurchasePlacementGroup`), or if EC2 does not
 * sell the template's instance type this way (`PurchaseOptionUnavailable`).
 */
export class PurchasedCapacity extends LaunchTemplateMixin {
  private readonly purchase: Purchase;

  /**
   * @param purchase how the instances are bought.
   */
  constructor(purchase: Purchase) {
    super();
    this.purchase = purchase;
  }

  protected change(data: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty, path: string): ec2.CfnLaunchTemplate.LaunchTemplateDataProperty {
    const { purchase } = this;
    const ownGroup = purchase._placementGroupArn === undefined ? undefined : nameOf(purchase._placementGroupArn);
    const instanceType = NeuronInstanceType.all().find((type) => type.name === data.instanceType);
    Problems.throwIfAny([
      ...placementProblems(data.placement, ownGroup, purchase, path),
      ...(instanceType === undefined ? [] : purchase._problems(instanceType, `${path}.launchTemplateData`)),
    ]);
    return {
      ...data,
      instanceMarketOptions: ['spot', 'capacity-block'].includes(purchase.option) ? { marketType: purchase.option } : undefined,
      capacityReservationSpecification: purchase._target && { capacityReservationTarget: purchase._target },
      placement: ownGroup === undefined ? data.placement : { ...data.placement, groupName: ownGroup },
    };
  }
}

function placementProblems(
  placement: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty['placement'], ownGroup: string | undefined, purchase: Purchase, path: string,
): Problem[] {
  if (purchase.allowsPlacementGroup || placement === undefined || Tokenization.isResolvable(placement)) {
    return [];
  }
  const group = placement.groupName ?? placement.groupId;
  if (group === undefined || group === ownGroup) {
    return [];
  }
  return [{
    rule: 'PurchasePlacementGroup',
    path: `${path}.launchTemplateData.placement`,
    value: Token.isUnresolved(group) ? undefined : JSON.stringify(group),
    message: purchase.option === 'capacity-block'
      ? 'a Capacity Block cannot be launched into a placement group, its instances are co-located already'
      : 'a reservation can only be used from the placement group that it was made in',
    mend: purchase.option === 'capacity-block'
      ? 'leave the placement out'
      : 'give placementGroupArn to Purchase.reservation if it was made in one, and leave the placement out',
  }];
}

/**
 * The name in an ARN such as `arn:aws:ec2:us-east-2:111122223333:placement-group/mine`.
 */
function nameOf(placementGroupArn: string): string {
  return Token.isUnresolved(placementGroupArn) ? Fn.select(1, Fn.split('/', placementGroupArn)) : placementGroupArn.split('/')[1] ?? placementGroupArn;
}
