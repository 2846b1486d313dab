import { Token } from 'aws-cdk-lib';
import { NeuronInstanceType } from '../hardware';
import { Problem, Problems } from '../problems';

/**
 * What capacity costs, and where it is.
 */
export interface PurchaseOptions {
  /**
   * Price of one instance, in USD per hour, above 0.
   *
   * @default - the sourced price of this way to buy, where there is one; a sourced Spot price is of one zone and day
   */
  readonly usdPerHour?: number;

  /**
   * Availability Zone where the capacity is, or is to be found, a name such as `us-east-2b`.
   *
   * @default - not checked against the fleet's
   */
  readonly availabilityZone?: string;
}

/**
 * A Capacity Block that was bought already. Exactly one of `reservationId` and `resourceGroupArn` is needed.
 */
export interface CapacityBlockOptions extends PurchaseOptions {
  /**
   * Id of the block's Capacity Reservation, such as `cr-0123456789abcdef0`.
   *
   * @default - `resourceGroupArn` names the block
   */
  readonly reservationId?: string;

  /**
   * ARN of a resource group that holds the block; Capacity Blocks of UltraServers are launched into through one.
   *
   * @default - `reservationId` names the block
   */
  readonly resourceGroupArn?: string;

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
export interface ReservationOptions extends PurchaseOptions {
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

interface State extends PurchaseOptions {
  readonly option: string;
  readonly target?: Target;
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
   * Throws a `ProblemsError` (`PurchasePrice`) if `usdPerHour` is not a finite number above 0.
   *
   * @param options price and zone.
   */
  public static onDemand(options: PurchaseOptions = {}): Purchase {
    Problems.throwIfAny(priceProblems(options));
    return new Purchase({ ...options, option: 'on-demand' });
  }

  /**
   * Spot: EC2 may take the instances back with two minutes' notice.
   *
   * Throws a `ProblemsError` (`PurchasePrice`) if `usdPerHour` is not a finite number above 0.
   *
   * @param options price and zone.
   */
  public static spot(options: PurchaseOptions = {}): Purchase {
    Problems.throwIfAny(priceProblems(options));
    return new Purchase({ ...options, option: 'spot' });
  }

  /**
   * A Capacity Block for ML, which was bought before: nothing here buys one.
   *
   * Throws a `ProblemsError` if not exactly one of `reservationId` and `resourceGroupArn` is given (`PurchaseTarget`), if `endsAt` is no ISO 8601
   * time with an offset (`PurchaseEndsAt`), or if `usdPerHour` is not a finite number above 0 (`PurchasePrice`).
   *
   * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-launch.html
   */
  public static capacityBlock(options: CapacityBlockOptions): Purchase {
    const { reservationId, resourceGroupArn, ...others } = options;
    Problems.throwIfAny([
      ...targetProblems(reservationId, resourceGroupArn),
      ...endProblems(options.endsAt),
      ...priceProblems(options),
    ]);
    return new Purchase({
      ...others,
      option: 'capacity-block',
      target: { capacityReservationId: reservationId, capacityReservationResourceGroupArn: resourceGroupArn },
    });
  }

  /**
   * An On-Demand Capacity Reservation.
   *
   * Throws a `ProblemsError` if not exactly one of `reservationId` and `resourceGroupArn` is given (`PurchaseTarget`), or if `usdPerHour` is not a
   * finite number above 0 (`PurchasePrice`).
   */
  public static reservation(options: ReservationOptions): Purchase {
    const { reservationId, resourceGroupArn, ...others } = options;
    Problems.throwIfAny([...targetProblems(reservationId, resourceGroupArn), ...priceProblems(options)]);
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
   * Availability Zone where the capacity is, or is to be found.
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

function priceProblems({ usdPerHour }: PurchaseOptions): Problem[] {
  const unresolved = Token.isUnresolved(usdPerHour);
  if (usdPerHour === undefined || (!unresolved && Number.isFinite(usdPerHour) && usdPerHour > 0)) {
    return [];
  }
  return [{
    rule: 'PurchasePrice',
    path: 'usdPerHour',
    value: unresolved ? undefined : String(usdPerHour),
    message: unresolved ? 'usdPerHour is a token, and costs are estimated at synthesis' : 'usdPerHour is not a finite number above 0',
    mend: 'give USD per hour above 0, or leave it out',
  }];
}

function targetProblems(id: string | undefined, groupArn: string | undefined): Problem[] {
  const mend = 'give either reservationId, such as cr-0123456789abcdef0, or resourceGroupArn';
  if ((id === undefined) === (groupArn === undefined)) {
    return [{
      rule: 'PurchaseTarget',
      path: 'reservationId',
      value: id === undefined ? undefined : JSON.stringify([id, groupArn]),
      message: id === undefined ? 'no reservation is named' : 'two reservations are named',
      mend,
    }];
  }
  const wrong = (value: string | undefined, form: RegExp) => value !== undefined && !Token.isUnresolved(value) && !form.test(value);
  const problem = (path: string, value: string | undefined, what: string) => ({
    rule: 'PurchaseTarget', path, value: JSON.stringify(value), message: `this is not ${what}`, mend,
  });
  return [
    ...(wrong(id, /^cr-[0-9a-f]{8,17}$/) ? [problem('reservationId', id, 'the id of a Capacity Reservation')] : []),
    ...(wrong(groupArn, /^arn:/) ? [problem('resourceGroupArn', groupArn, 'the ARN of a resource group')] : []),
  ];
}

function endProblems(endsAt: string | undefined): Problem[] {
  if (endsAt === undefined) {
    return [];
  }
  // without an offset the time would depend on where the app is synthesized.
  const fits = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(endsAt) && isDate(endsAt);
  return fits ? [] : [{
    rule: 'PurchaseEndsAt',
    path: 'endsAt',
    value: Token.isUnresolved(endsAt) ? undefined : JSON.stringify(endsAt),
    message: 'endsAt is not an ISO 8601 time with an offset',
    mend: 'use a time such as 2027-01-31T11:30:00Z, or leave it out',
  }];
}

/** Whether the day exists: Date.parse takes the 30th of February for the 2nd of March. */
function isDate(time: string): boolean {
  const day = time.slice(0, 10);
  const parsed = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(parsed) && new Date(parsed).toISOString().startsWith(day) && !Number.isNaN(Date.parse(time));
}
