import { App, CfnParameter, Fn, Stack, aws_ec2 as ec2 } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Purchase, PurchasedCapacity } from '../../src/fleet';
import { NeuronInstanceType } from '../../src/hardware';
import { ClusterPlacement, EfaPlacementGroup } from '../../src/network';

function dataWith(purchase: Purchase, data: ec2.CfnLaunchTemplate.LaunchTemplateDataProperty = {}) {
  const stack = new Stack(new App(), 'Stack');
  new ec2.CfnLaunchTemplate(stack, 'Lt', { launchTemplateData: data }).with(new PurchasedCapacity(purchase));
  return Object.values(Template.fromStack(stack).findResources('AWS::EC2::LaunchTemplate'))[0].Properties.LaunchTemplateData;
}

describe('the launch template', () => {
  test('of a Capacity Block has the market type and the reservation', () => {
    expect(dataWith(Purchase.capacityBlock({ reservationId: 'cr-0123456789abcdef0' }))).toEqual({
      InstanceMarketOptions: { MarketType: 'capacity-block' },
      CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: 'cr-0123456789abcdef0' } },
    });
  });

  test('of a Capacity Block in a group targets the group', () => {
    const resourceGroupArn = 'arn:aws:resource-groups:us-east-2:111122223333:group/blocks';
    expect(dataWith(Purchase.capacityBlock({ resourceGroupArn }))).toEqual({
      InstanceMarketOptions: { MarketType: 'capacity-block' },
      CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationResourceGroupArn: resourceGroupArn } },
    });
  });

  test('of Spot has the market type alone', () => {
    expect(dataWith(Purchase.spot())).toEqual({ InstanceMarketOptions: { MarketType: 'spot' } });
  });

  test('of On-Demand says nothing, and what it said before is gone', () => {
    expect(dataWith(Purchase.onDemand(), {
      instanceType: 'trn1.32xlarge',
      instanceMarketOptions: { marketType: 'spot' },
      capacityReservationSpecification: { capacityReservationPreference: 'open' },
    })).toEqual({ InstanceType: 'trn1.32xlarge' });
  });

  test('of a reservation in a placement group launches into that group', () => {
    const placementGroupArn = 'arn:aws:ec2:us-east-2:111122223333:placement-group/mine';
    expect(dataWith(Purchase.reservation({ reservationId: 'cr-00000000000000001', placementGroupArn }), { placement: { tenancy: 'default' } })).toEqual({
      CapacityReservationSpecification: { CapacityReservationTarget: { CapacityReservationId: 'cr-00000000000000001' } },
      Placement: { Tenancy: 'default', GroupName: 'mine' },
    });
  });

  test('takes an ARN that is a token', () => {
    const stack = new Stack(new App(), 'Stack');
    const placementGroupArn = new CfnParameter(stack, 'Group').valueAsString;
    new ec2.LaunchTemplate(stack, 'Lt').with(new PurchasedCapacity(Purchase.reservation({ reservationId: 'cr-00000000000000001', placementGroupArn })));
    Template.fromStack(stack).hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: { Placement: { GroupName: { 'Fn::Select': [1, { 'Fn::Split': ['/', { Ref: 'Group' }] }] } } },
    });
  });

  test.each([
    ['a Capacity Block', Purchase.capacityBlock({ reservationId: 'cr-00000000000000001' })],
    ['a reservation made in none', Purchase.reservation({ reservationId: 'cr-00000000000000001' })],
    ['a reservation made in another', Purchase.reservation({ reservationId: 'cr-00000000000000001', placementGroupArn: 'arn:aws:ec2:r:1:placement-group/other' })],
  ])('fails to put %s into a placement group', (_, purchase) => {
    const stack = new Stack(new App(), 'Stack');
    const efa = new EfaPlacementGroup(stack, 'Efa', { vpc: new ec2.Vpc(stack, 'Vpc', { maxAzs: 1 }) });
    const template = new ec2.LaunchTemplate(stack, 'Lt');
    template.with(new ClusterPlacement(efa));
    expect(() => template.with(new PurchasedCapacity(purchase))).toThrow('[PurchasePlacementGroup]');
  });

  test('fails for an instance type that is not sold this way', () => {
    expect(() => dataWith(Purchase.onDemand(), { instanceType: 'trn2.48xlarge' })).toThrow(
      '[Stack/Lt.launchTemplateData] EC2 does not sell trn2.48xlarge this way, got: "on-demand" '
      + '(use Purchase.spot() or Purchase.capacityBlock({ reservationId })) [PurchaseOptionUnavailable]');
  });
});

describe('what EC2 sells', () => {
  const sold = (purchase: Purchase, type: NeuronInstanceType) => purchase._problems(type, 'here').length === 0;
  const block = Purchase.capacityBlock({ reservationId: 'cr-00000000000000001' });
  const reservation = Purchase.reservation({ reservationId: 'cr-00000000000000001' });

  test('is what the instance types say', () => {
    for (const type of NeuronInstanceType.all()) {
      expect(sold(Purchase.onDemand(), type)).toBe(type.purchaseOptions.includes('on-demand'));
      expect(sold(Purchase.spot(), type)).toBe(type.purchaseOptions.includes('spot'));
      expect(sold(block, type)).toBe(type.purchaseOptions.includes('capacity-block'));
    }
  });

  test('trn2 is sold as Spot and as Capacity Blocks, trn2u as Capacity Blocks only', () => {
    const { TRN2_48XLARGE: trn2, TRN2U_48XLARGE: trn2u } = NeuronInstanceType;
    expect([Purchase.onDemand(), Purchase.spot(), block, reservation].map((purchase) => sold(purchase, trn2))).toEqual([false, true, true, true]);
    expect([Purchase.onDemand(), Purchase.spot(), block, reservation].map((purchase) => sold(purchase, trn2u))).toEqual([false, false, true, false]);
  });
});

describe('a placement group', () => {
  test('may be used with On-Demand and Spot only', () => {
    expect([Purchase.onDemand(), Purchase.spot()].map((purchase) => purchase.allowsPlacementGroup)).toEqual([true, true]);
    expect(Purchase.capacityBlock({ reservationId: 'cr-00000000000000001' }).allowsPlacementGroup).toBe(false);
    expect(Purchase.reservation({ reservationId: 'cr-00000000000000001' }).allowsPlacementGroup).toBe(false);
  });
});

describe('fails for', () => {
  test('no reservation, and two', () => {
    expect(() => Purchase.capacityBlock({})).toThrow('no reservation is named');
    expect(() => Purchase.reservation({})).toThrow('[PurchaseTarget]');
    expect(() => Purchase.capacityBlock({ reservationId: 'cr-00000000000000001', resourceGroupArn: 'arn:aws:x' })).toThrow('two reservations are named');
  });

  test('ids and ARNs of something else, with a bad end, all at once', () => {
    expect(() => Purchase.capacityBlock({ reservationId: 'i-1', endsAt: '2027-01-31T11:30' }))
      .toThrow(/not the id of a Capacity Reservation.*\[PurchaseTarget\]\n.*\[PurchaseEndsAt\]/);
    expect(() => Purchase.reservation({ resourceGroupArn: 'blocks' })).toThrow('not the ARN of a resource group');
  });

  test.each([0, -1, NaN, Infinity])('the price %d, whatever is bought', (usdPerHour) => {
    for (const buy of [Purchase.onDemand, Purchase.spot, Purchase.capacityBlock, Purchase.reservation]) {
      expect(() => buy({ reservationId: 'cr-00000000000000001', usdPerHour })).toThrow('usdPerHour is not a finite number above 0');
    }
  });

  test('a price that is a token', () => {
    const usdPerHour = new CfnParameter(new Stack(new App(), 'Stack'), 'Price', { type: 'Number' }).valueAsNumber;
    expect(() => Purchase.spot({ usdPerHour })).toThrow('usdPerHour is a token, and costs are estimated at synthesis');
  });

  test.each(['tomorrow', '2027-01-31', '2027-13-31T11:30:00Z', '2027-01-31T11:30:00'])('the end %s', (endsAt) => {
    expect(() => Purchase.capacityBlock({ reservationId: 'cr-00000000000000001', endsAt })).toThrow('[PurchaseEndsAt]');
  });
});

test('an id that is a token is taken as given', () => {
  expect(dataWith(Purchase.capacityBlock({ reservationId: Fn.importValue('id') })).CapacityReservationSpecification).toEqual({
    CapacityReservationTarget: { CapacityReservationId: { 'Fn::ImportValue': 'id' } },
  });
});
