import { Stack } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { Estimate, EstimateOutcome } from '../estimator';
import { EstimateFile } from './estimate-file';

const REGISTRY = Symbol.for('cdk-disaggregated-inference.Estimates');

/**
 * The estimates of the services in a stack, for a user's own unit tests and reports.
 */
export class Estimates {
  /**
   * The estimates of the services in a stack.
   *
   * @param stack the stack that holds the services.
   */
  public static fromStack(stack: Stack): Estimates {
    const registered = (stack as any)[REGISTRY] as Estimates | undefined;
    if (registered) {
      return registered;
    }
    const estimates = new Estimates();
    Object.defineProperty(stack, REGISTRY, { value: estimates });
    return estimates;
  }

  private readonly outcomes = new Map<string, EstimateOutcome>();

  private constructor() {}

  /**
   * Construct paths of the services that were estimated, or refused with a reason.
   */
  public get paths(): string[] {
    return [...this.outcomes.keys()];
  }

  /**
   * The estimate of a service, or the reason why there is none.
   *
   * @param service the service's construct.
   * @throws if the construct was never estimated.
   */
  public outcomeOf(service: IConstruct): EstimateOutcome {
    return this._outcomeAt(service.node.path);
  }

  /**
   * The estimate of a service.
   *
   * @param service the service's construct.
   * @throws if the construct was never estimated, or if the estimator refused, with its reason.
   */
  public of(service: IConstruct): Estimate {
    const { estimate, refusal } = this.outcomeOf(service);
    if (!estimate) {
      throw new Error(`no estimate for ${JSON.stringify(service.node.path)}: ${refusal?.reason}`);
    }
    return estimate;
  }

  /**
   * @internal
   */
  public _outcomeAt(path: string): EstimateOutcome {
    const outcome = this.outcomes.get(path);
    if (!outcome) {
      throw new Error(`no estimate for ${JSON.stringify(path)}, estimated are: ${this.paths.join(', ') || 'none'}`);
    }
    return outcome;
  }

  /**
   * @internal
   */
  public _register(service: IConstruct, outcome: EstimateOutcome): void {
    if (this.outcomes.size === 0) {
      EstimateFile.writeWith(service, this);
    }
    this.outcomes.set(service.node.path, outcome);
  }
}
