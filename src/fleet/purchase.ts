import { Token } from 'aws-cdk-lib';
import { NeuronInstanceType } from '../hardware';
import { Problem, Problems } from '../problems';

/**
 * What an instance costs.
 */
export interface OnDemandOptions {
  /**
   * Price of one instance, in USD per hour.
   *
   * @default - the sourced price of this way to buy, where there is one
   */
  readonly usdPerHour?: number;
}

/**
 * Options of Spot capacity.
 */
export interface SpotOptions extends OnDemandOptions {}

/**
 * A Capacity Block that was bought already. Exactly one of `reservationId` and `reservationGroupArn` is needed.
 */
export interface CapacityBlockOptions extends OnDemandOptions {
  /**
   * Id of the block's Capacity Reservation, such as `cr-0123456789abcdef0`.
   *
   * @default - `reservationGroupArn` names the block
   */
  readonly reservationId?: string;

  /**
   * ARN of a resource group that holds the block; Capacity Blocks of UltraServers are launched into through one.
   *
   * @default - `reservationId` names the block
   */
  readonly reservationGroupArn?: string;

  /**
   * Availability Zone of the block, a name such as `us-east-2b`.
   *
   * @default - not checked against the fleet's
   */
  readonly availabilityZone?: string;

  /**
   * When the block ends, an ISO 8601 time with its offset, such as `2027-01-31T11:30:00Z`. The fleet then scales to nothing shortly before EC2
   * starts to terminate instances, which is 30 minutes before the end (60 minutes for UltraServers).
   *
   * @default - the fleet runs until EC2 terminates its instances
   */
  readonly endsAt?: string;
}

/**
 * An On-Demand Capacity Reservation. Exactly one of `reservationId` and `resourceGroupArn` is needed.
 */
export interface ReservationOptions extends OnDemandOptions {
  /**
   * Id of the reservation, such as `cr-0123456789abcdef0`.
   *
   * @default - `resourceGroupArn` names the reservation
   */
  readonly reservationId?: string;

  /**
   * ARN of a resource group that holds the reservation.
   *
   * @default - `reservationId` names the reservation
   */
  readonly resourceGroupArn?: string;

  /**
   * Availability Zone of the reservation, a name such as `us-east-2b`.
   *
   * @default - not checked against the fleet's
   */
  readonly availabilityZone?: string;

  /**
   * ARN of the cluster placement group that the reservation was made in: only launches into it can use the reservation.
   *
   * @default - the reservation was made in none
   */
  readonly placementGroupArn?: string;
}

/**
 * A reservation that instances are launched into, by id or by group.
 */
interface Target {
  readonly capacityReservationId?: string;
  readonly capacityReservationResourceGroupArn?: string;
}

interface Price {
  readonly usdPerHour: number;
  readonly source: string;
}

interface State extends OnDemandOptions {
  readonly option: string;
  readonly target?: Target;
  readonly availabilityZone?: string;
  readonly endsAt?: string;
  readonly placementGroupArn?: string;
}

/**
 * How the instances of a fleet are bought.
 */
export class Purchase {
  /**
   * On-Demand. Types without an On-Demand price, such as trn2, are refused by the fleet.
   *
   * @param options its price.
   */
  public static onDemand(options: OnDemandOptions = {}): Purchase {
    return new Purchase({ ...options, option: 'on-demand' });
  }

  /**
   * Spot: EC2 may take the instances back with two minutes' notice.
   *
   * @param options its price.
   */
  public static spot(options: SpotOptions = {}): Purchase {
    return new Purchase({ ...options, option: 'spot' });
  }

  /**
   * A Capacity Block for ML, which was bought before: nothing here buys one.
   *
   * Throws a `ProblemsError` if not exactly one of `reservationId` and `reservationGroupArn` is given (`PurchaseTarget`), or if `endsAt` is no
   * ISO 8601 time with an offset (`PurchaseEndsAt`).
   *
   * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-launch.html
   */
  public static capacityBlock(options: CapacityBlockOptions): Purchase {
    const { reservationId, reservationGroupArn, ...others } = options;
    Problems.throwIfAny([
      ...targetProblems(reservationId, reservationGroupArn, 'reservationGroupArn'),
      ...endProblems(options.endsAt),
    ]);
    return new Purchase({
      ...others,
      option: 'capacity-block',
      target: { capacityReservationId: reservationId, capacityReservationResourceGroupArn: reservationGroupArn },
    });
  }

  /**
   * An On-Demand Capacity Reservation.
   *
   * Throws a `ProblemsError` (`PurchaseTarget`) if not exactly one of `reservationId` and `resourceGroupArn` is given.
   */
  public static reservation(options: ReservationOptions): Purchase {
    const { reservationId, resourceGroupArn, ...others } = options;
    Problems.throwIfAny(targetProblems(reservationId, resourceGroupArn, 'resourceGroupArn'));
    return new Purchase({
      ...others,
      option: 'reservation',
      target: { capacityReservationId: reservationId, capacityReservationResourceGroupArn: resourceGroupArn },
    });
  }

  /** `on-demand`, `spot`, `capacity-block` or `reservation`. */
  public readonly option: string;

  /**
   * Price of one instance, in USD per hour.
   *
   * @default - the sourced price of this way to buy, where there is one
   */
  public readonly usdPerHour?: number;

  /**
   * Availability Zone that the capacity is in.
   *
   * @default - any, or unknown
   */
  public readonly availabilityZone?: string;

  /**
   * When the capacity ends, an ISO 8601 time.
   *
   * @default - it does not end, or nobody said when
   */
  public readonly endsAt?: string;

  /**
   * Whether the fleet's own placement group may be used: never with a Capacity Block, whose instances are co-located already, nor with a
   * reservation, which can only be launched into from the placement group that it was made in.
   */
  public readonly allowsPlacementGroup: boolean;

  /**
   * The reservation to launch into.
   *
   * @internal
   */
  public readonly _target?: Target;

  /**
   * The placement group that the reservation was made in.
   *
   * @internal
   */
  public readonly _placementGroupArn?: string;

  private constructor(state: State) {
    this.option = state.option;
    this.usdPerHour = state.usdPerHour;
    this.availabilityZone = state.availabilityZone;
    this.endsAt = state.endsAt;
    this.allowsPlacementGroup = state.target === undefined;
    this._target = state.target;
    this._placementGroupArn = state.placementGroupArn;
  }

  /**
   * Why instances of the type cannot be bought this way.
   *
   * @internal
   */
  public _problems(instanceType: NeuronInstanceType, path: string): Problem[] {
    const { purchaseOptions } = instanceType;
    // a reservation is no way that EC2 lists; whoever holds one for a type that is sold singly can use it.
    const sold = this.option === 'reservation' ? instanceType.ultraServer === undefined : purchaseOptions.includes(this.option);
    return sold ? [] : [{
      rule: 'PurchaseOptionUnavailable',
      path,
      value: JSON.stringify(this.option),
      message: `EC2 does not sell ${instanceType.name} this way`,
      mend: `use ${purchaseOptions.map((option) => FACTORIES[option]).join(' or ')}`,
    }];
  }

  /**
   * The price given, or else the sourced one of this way to buy; a reservation is billed as On-Demand.
   *
   * @internal
   */
  public _price(instanceType: NeuronInstanceType, givenAt: string): Price | undefined {
    if (this.usdPerHour !== undefined) {
      return { usdPerHour: this.usdPerHour, source: `given at ${givenAt}` };
    }
    const option = this.option === 'reservation' ? 'on-demand' : this.option;
    return instanceType.prices.find((price) => price.purchase === option);
  }

  /**
   * When the fleet has to be gone: ten minutes before EC2 starts to terminate.
   *
   * @see https://docs.aws.amazon.com/autoscaling/ec2/userguide/launch-template-capacity-blocks.html
   * @internal
   */
  public _scaleInAt(instanceType: NeuronInstanceType): string | undefined {
    if (this.endsAt === undefined) {
      return undefined;
    }
    const minutes = (instanceType.ultraServer === undefined ? 30 : 60) + 10;
    return new Date(Date.parse(this.endsAt) - minutes * 60_000).toISOString().replace(/\.\d+Z$/, 'Z');
  }
}

const FACTORIES: { [option: string]: string } = {
  'on-demand': 'Purchase.onDemand()',
  'spot': 'Purchase.spot()',
  'capacity-block': 'Purchase.capacityBlock({ reservationId })',
};

function targetProblems(id: string | undefined, groupArn: string | undefined, groupName: string): Problem[] {
  const mend = `give either reservationId, such as cr-0123456789abcdef0, or ${groupName}`;
  if ((id === undefined) === (groupArn === undefined)) {
    return [{
      rule: 'PurchaseTarget',
      path: 'reservationId',
      value: id === undefined ? undefined : JSON.stringify([id, groupArn]),
      message: id === undefined ? 'no reservation is named' : 'two reservations are named',
      mend,
    }];
  }
  const wrong = (value: string | undefined, prefix: string) => value !== undefined && !Token.isUnresolved(value) && !value.startsWith(prefix);
  const problem = (path: string, value: string | undefined, what: string) => ({
    rule: 'PurchaseTarget', path, value: JSON.stringify(value), message: `this is not ${what}`, mend,
  });
  return [
    ...(wrong(id, 'cr-') ? [problem('reservationId', id, 'the id of a Capacity Reservation')] : []),
    ...(wrong(groupArn, 'arn:') ? [problem(groupName, groupArn, 'the ARN of a resource group')] : []),
  ];
}

function endProblems(endsAt: string | undefined): Problem[] {
  if (endsAt === undefined) {
    return [];
  }
  // without an offset the time would depend on where the app is synthesized.
  const fits = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(endsAt) && !Number.isNaN(Date.parse(endsAt));
  return fits ? [] : [{
    rule: 'PurchaseEndsAt',
    path: 'endsAt',
    value: Token.isUnresolved(endsAt) ? undefined : JSON.stringify(endsAt),
    message: 'endsAt is not an ISO 8601 time with an offset',
    mend: 'use a time such as 2027-01-31T11:30:00Z, or leave it out',
  }];
}
