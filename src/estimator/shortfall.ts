import { fill } from './calibration/calibration';
import { PoolShortfall, Refusal } from './estimate';
import { Coefficients } from './phases/coefficients';
import { linkRates } from './phases/kv-transfer';
import { Resolved } from './resolve';

/** A load that is a whole number but for the last digits is one. */
const ROUNDING = 1e-12;

/** A stage, and its instances at the counts that were solved for. */
export interface StageLoad {
  readonly name: string;
  readonly load: number;
  readonly instances: number;
  readonly hardware: string;
}

/** That a service has no steady state at the counts and the rate that it was solved for last, and by how many instances it falls short. */
export function unstable(stages: readonly StageLoad[], resolved: Resolved): Refusal {
  const worst = stages.reduce((most, stage) => (stage.load > most.load ? stage : most));
  const shortfalls = shortfallsOf(stages, resolved);
  const instances = shortfallText(shortfalls);
  return {
    kind: 'unstable',
    stage: worst.name,
    shortfalls,
    reason: `${worst.load > 10 ? `${worst.name} needs ${worst.load.toFixed(0)} times its capacity` : `${worst.name} has ${(worst.load * 100).toFixed(0)} % of its capacity to do`}`
      + `: short by ${instances}`,
    mend: `add ${instances}, or lower the rate`,
  };
}

/** Instances that are missing, as a part of a sentence: `12 prefill and 190 decode instances`. */
function shortfallText(shortfalls: readonly PoolShortfall[]): string {
  const [last] = shortfalls.slice(-1);
  const noun = last.instances === 1 ? 'instance' : 'instances';
  return last.stage === 'aggregated' ? `${last.instances} ${noun}` : `${shortfalls.map(({ stage, instances }) => `${instances} ${stage}`).join(' and ')} ${noun}`;
}

/** Loads are inverse to counts, so those that bring every one below 1 are known. */
function shortfallsOf(stages: readonly StageLoad[], resolved: Resolved): PoolShortfall[] {
  const { plant } = resolved;
  const pools = stages.filter(({ name }) => name !== 'kv-transfer');
  const link = stages.find(({ name }) => name === 'kv-transfer');
  const rates = plant.link && linkRates(
    plant.link, fill(new Coefficients(), resolved.prefill!.set), fill(new Coefficients(), resolved.decode.set), plant.prefill!, plant.decode);
  const bandwidths = rates === undefined ? [Infinity] : [rates.fromPrefill, rates.intoDecode];
  // the narrower end bounds the link, and both have to carry what crosses it.
  const bytesPerSecond = link === undefined ? 0 : link.load * Math.min(...pools.map(({ instances }, i) => instances * bandwidths[i]));
  return pools.map(({ name, load, instances }, i): PoolShortfall => {
    const busy = Math.max(load * instances, bytesPerSecond / bandwidths[i]);
    return { stage: name, instances: Math.floor(busy * (1 + ROUNDING)) + 1 - instances };
  }).filter(({ instances }) => instances > 0);
}
