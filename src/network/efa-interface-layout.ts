import { AcceleratedInstanceType } from '../hardware';

/**
 * Kind of a network interface, as EC2 names it.
 */
export enum EfaInterfaceType {
  /** Elastic Network Adapter: IP traffic only. */
  INTERFACE = 'interface',

  /** EFA and IP traffic on one interface. */
  EFA = 'efa',

  /** EFA traffic only: takes no IP address, and is never the primary interface. */
  EFA_ONLY = 'efa-only',
}

/**
 * Where one network interface sits, and what it carries.
 */
export interface EfaInterface {
  /** Index of the network card, from 0. */
  readonly networkCardIndex: number;

  /** Index of the device on its card, from 0. */
  readonly deviceIndex: number;

  /** What the interface carries. */
  readonly interfaceType: EfaInterfaceType;
}

/**
 * The network interfaces of an instance type that give all of its EFA bandwidth for one IP address.
 *
 * The primary interface (card 0, device 0) carries IP. Card 0 takes an EFA-only interface at device 1 if it carries EFA and takes two interfaces;
 * if it takes one, that one is both (`efa`). Every further card that carries EFA takes an EFA-only interface at device 0. A type without EFA has the
 * primary interface alone.
 *
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html
 */
export class EfaInterfaceLayout {
  /**
   * The layout of an instance type.
   *
   * @param instanceType any accelerated instance type, with or without EFA.
   */
  public static of(instanceType: AcceleratedInstanceType): EfaInterfaceLayout {
    return new EfaInterfaceLayout(instanceType);
  }

  /** The interfaces, the primary one first. */
  public readonly interfaces: EfaInterface[];

  /** Number of interfaces that carry EFA, as many as `/dev/infiniband/uverbs` devices. */
  public readonly efaInterfaceCount: number;

  private constructor(instanceType: AcceleratedInstanceType) {
    const [first, ...others] = instanceType.networkCards;
    // where the limit of card 0 is unknown, one interface that carries both is the layout that cannot exceed it.
    const shared = first.efa && (first.maxInterfaces ?? 1) < 2;
    this.interfaces = [
      { networkCardIndex: 0, deviceIndex: 0, interfaceType: shared ? EfaInterfaceType.EFA : EfaInterfaceType.INTERFACE },
      ...(first.efa && !shared ? [{ networkCardIndex: 0, deviceIndex: 1, interfaceType: EfaInterfaceType.EFA_ONLY }] : []),
      ...others.filter((card) => card.efa).map((card) => ({
        networkCardIndex: card.index, deviceIndex: 0, interfaceType: EfaInterfaceType.EFA_ONLY,
      })),
    ];
    this.efaInterfaceCount = this.interfaces.filter((nic) => nic.interfaceType !== EfaInterfaceType.INTERFACE).length;
  }
}
