import { Confidence } from './estimate';
import { ResolvedPool } from './resolve';
import { ratesOf } from './routing-rates';
import { Service } from './service';
import { DRAWS } from './uncertainty';
import { ModelArchitecture } from '../model';

const LEVELS = ['low', 'medium', 'high'];

/** How many times have to be left out of a fit, and by how much predictions of them may be off on average, to be as sure. */
const SURE = [
  { level: 'high', times: 20, meanError: 0.1 },
  { level: 'medium', times: 5, meanError: 0.25 },
];

/** Beyond this share of its capacity an engine's waits are of chance more than of its times: the closed form is near, not exact. */
const FULL = 0.8;

/** From this share on sequences lose their places more often than rarely, in simulations of engines whose batch the KV cache bounds. */
const HALF = 0.5;

const METRICS = { ttft: 'times to the first token', tpot: 'times per output token' } as const;

/** How far an estimate can be trusted: as far as what its figures rest on, the least sure of it. */
export function confidence(service: Service, unstable: number): Confidence {
  const { prefill, decode, plant } = service.resolved;
  const burst = service.form.burstLoad;
  const isMeasured = (stage: string) => service.coefficients(stage).every(({ relativeSigma }) => relativeSigma === 0);
  const isJudged = [prefill, decode].some((pool) => pool?.set.evidence?.ttft !== undefined || pool?.set.evidence?.tpot !== undefined);
  if (burst <= 1 && !service.form.mayKeepInStep && !isJudged && service.stages().every(({ name }) => isMeasured(name))) {
    return { level: 'high', reason: 'every coefficient is measured by the user' };
  }
  const bases = [basisOf(service, prefill ?? decode, 'ttft'), basisOf(service, decode, 'tpot')];
  if (plant.model.experts > 0 && (prefill ?? decode).set.name.startsWith('trainium') && !bases[0].isOwn) {
    bases.push({ level: 'low', reason: 'prefill of mixture-of-experts models on Neuron differs tenfold between published kernels' });
  }
  // beyond the tail, upper ends are of draws whose queues grow for ever
  if (unstable > DRAWS / 10) {
    bases.push({
      level: 'low',
      reason: `in ${unstable} of ${DRAWS} draws of the coefficients the load exceeds the capacity, so that latencies have no upper bound: the upper ends are those of a fleet `
        + 'that is just about full',
    });
  }
  if (burst > 1) {
    bases.push({
      level: 'low',
      reason: `bursts bring ${percent(burst)} % of what the engines write at most, and the closed form sees too few requests wait for a slot then: `
        + 'simulate tells how long',
    });
  }
  if (service.form.mayKeepInStep) {
    bases.push({
      level: 'low',
      reason: 'answers of so few lengths end together, and the prompts that take their places come together: first tokens may come several times later than told, as '
        + 'simulate tells, unless lengths differ by some percent',
    });
  }
  const { slotsBoundByKv, stepTokens } = plant.decode;
  if (slotsBoundByKv && stepTokens !== undefined && service.form.decodeLoad > HALF) {
    bases.push({
      level: 'low',
      reason: 'the KV cache bounds the batch, and sequences that lose their place in it are read again, which the closed form does not count: simulate tells how often',
    });
  }
  if (bases.every(({ level }) => level === 'high')) {
    bases.push(...limits(service, isMeasured));
  }
  const { minPromptTokens = 0 } = service.aggregated ? {} : ratesOf(service);
  const { weights, inputTokens, cachedTokens } = plant.classes;
  const kept = weights.reduce((sum, weight, i) => sum + (inputTokens[i] - cachedTokens[i] < minPromptTokens ? weight : 0), 0);
  const reasons = [
    ...bases.map(({ reason }) => reason),
    ...kept === 0 ? [] : [
      `a router lets decode engines read prompts below ${minPromptTokens} tokens, ${Number((kept * 100).toPrecision(2))} % of them, which are taken as handed on `
      + 'here: simulate --route tells what that changes',
    ],
  ];
  return { level: LEVELS[Math.min(...bases.map(({ level }) => LEVELS.indexOf(level)))], reason: [...new Set(reasons)].join('; ') };
}

/** What a figure rests on. */
interface Basis extends Confidence {
  /** Whether on measurements that the user has of this model. */
  readonly isOwn?: boolean;
}

/** What a pool's times rest on: own measurements of the model, else what is published of its accelerator. */
function basisOf({ spec, resolved }: Service, { set, hardware }: ResolvedPool, metric: keyof typeof METRICS): Basis {
  const model = ModelArchitecture.fromSpec(spec.model).id;
  const { model: measured = model, [metric]: heldOut } = set.evidence ?? {};
  // no measurement of tokens tells of the streams that wafers hold, nor of what they take in
  if (heldOut === undefined || metric === 'tpot' && resolved.plant.decode.wafers !== undefined) {
    return { level: set.confidence, reason: set.reason };
  }
  const reason = `${METRICS[metric]} rest on ${heldOut.times} of ${measured} on ${hardware}, off by ${percent(heldOut.meanError)} % on average where they were left out`;
  if (measured !== model) {
    return { level: set.confidence, reason: `${reason}, and those of ${model} are not measured` };
  }
  const { level } = SURE.find(({ times, meanError }) => heldOut.times >= times && heldOut.meanError <= meanError) ?? { level: 'low' };
  return { level, reason, isOwn: true };
}

/** What estimates that rest on measurements are less sure of. */
function limits(service: Service, isMeasured: (stage: string) => boolean): Basis[] {
  const fullest = service.stages().reduce((most, stage) => stage.load > most.load ? stage : most);
  return [
    ...service.aggregated || isMeasured('kv-transfer') ? [] : [{ level: 'medium', reason: 'how long caches are on the way is of published figures' }],
    ...fullest.load <= FULL ? [] : [{
      level: 'medium', reason: `${fullest.name} has ${percent(fullest.load)} % of its capacity to do, where waits are far apart: simulate tells how far`,
    }],
  ];
}

function percent(share: number): string {
  return (share * 100).toFixed(0);
}
