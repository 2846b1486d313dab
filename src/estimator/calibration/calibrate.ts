import { FreeCoefficient, Fit, fitCoefficients } from './fit';
import { MeasuredConfiguration } from './measurements';
import { bearsOn } from '../phases/bearing';
import { CoefficientName, Coefficients } from '../phases/coefficients';

type Spreads = { readonly [name in CoefficientName]?: number };

/** How far coefficients may be from where a fit starts, as standard deviations of the logarithm: wide, as engines and their releases differ. */
const SPREADS: Spreads = {
  denseUtilisation: 0.4,
  lowPrecisionGain: 0.2,
  prefillAttentionUtilisation: 0.4,
  prefillLayerSeconds: 0.7,
  prefillTokenLayerSeconds: 1,
  prefillPromptSeconds: 1,
  weightBandwidthUtilisation: 0.2,
  lowPrecisionBandwidthGain: 0.1,
  kvBandwidthUtilisation: 0.4,
  decodeLayerSeconds: 0.5,
  decodeSequenceLayerSeconds: 1,
  decodeContextLayerSeconds: 1,
  engineStepSeconds: 1,
  collectiveHopSeconds: 1,
  collectiveBandwidthUtilisation: 0.4,
  gatewaySeconds: 1,
};

/** What coefficients are that nothing is known of. */
const WITHOUT_EFFECT = new Coefficients();

const EXPERT_SPREADS: Spreads = { decodeExpertLayerSeconds: 1, prefillExpertSeconds: 1.5, promptExpertUtilisation: 0.7 };

/**
 * Fits the coefficients of an accelerator and an engine to measurements, those of several configurations together if there are several.
 *
 * Where dense models and mixtures of experts are measured, the dense ones say what the two share, and the mixtures what experts add.
 *
 * @param start the coefficients known before; those without an effect, floors of 0 and gains or shares of 1, stay so.
 * @param configurations what was measured.
 * @param from where the search begins: nearer to the end if the coefficients of much the same measurements are known.
 */
export function calibrate(start: Coefficients, configurations: readonly MeasuredConfiguration[], from = start): Fit {
  const dense = configurations.filter(({ measured }) => measured.model.experts === 0);
  if (dense.length === 0) {
    return fit(start, { ...SPREADS, ...EXPERT_SPREADS }, configurations, from);
  }
  const shared = fit(start, SPREADS, dense, from);
  if (dense.length === configurations.length) {
    return shared;
  }
  const mixtures = configurations.filter((one) => !dense.includes(one));
  const added = fit(shared.coefficients, EXPERT_SPREADS, mixtures, shared.coefficients);
  return {
    coefficients: added.coefficients,
    relativeSigmas: new Map([...shared.relativeSigmas, ...added.relativeSigmas]),
    correlations: { ...shared.correlations, ...added.correlations },
  };
}

function fit(start: Coefficients, spreads: Spreads, configurations: readonly MeasuredConfiguration[], from: Coefficients): Fit {
  const isFelt = (name: CoefficientName) => configurations.some(({ measured: { model, engine } }) => bearsOn(name, model, engine));
  const free = Object.entries(spreads).map(([name, relativeSigma]): FreeCoefficient => ({ name: name as CoefficientName, relativeSigma }))
    .filter(({ name }) => start[name] !== WITHOUT_EFFECT[name] && isFelt(name));
  const search = (of: readonly MeasuredConfiguration[], begin: Coefficients) => (
    fitCoefficients(start, free, (k) => of.flatMap((one) => one.compare(k)), begin));
  // simulated runs make the landscape rough: what else was measured leads to the right valley.
  const smooth = configurations.filter(({ measurements }) => measurements.logs.length === 0);
  const led = smooth.length > 0 && smooth.length < configurations.length ? search(smooth, from).coefficients : from;
  return search(configurations, led);
}
