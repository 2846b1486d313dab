import { CHIPS_WITHOUT_IMAGE } from '../../engine-image';
import { Hardware } from '../../hardware';
import { ModelArchitecture } from '../../model';
import { COEFFICIENT_SETS, setOf } from '../calibration/calibration';
import { poolPrice } from '../cost';
import { DecodeSpec, DeploymentSpec, PoolSpec } from '../deployment-spec';
import { machineOf } from '../machine';
import { FleetSearchOptions } from './fleet-search';
import { SERVINGS } from './search-problems';

/** Ways to buy whose price is a list price. */
const LISTED = ['on-demand', 'capacity-block'];

/**
 * Every combination of serving, hardware and tensor parallel degree that a search considers, as specs without counts.
 *
 * Prefill and decode are of one accelerator family, as the KV cache of one cannot be read by the other; wafers take the cache of any.
 */
export function configurations(spec: DeploymentSpec, options: FleetSearchOptions): DeploymentSpec[] {
  const pools = poolsOf(spec, options);
  const servings = options.servings ?? SERVINGS;
  return [
    ...(servings.includes('aggregated') ? pools.map((decode) => configured(spec, decode)) : []),
    ...(servings.includes('disaggregated')
      ? pools.flatMap((prefill) => pools.filter((decode) => compatible(prefill, decode)).map((decode) => configured(spec, decode, prefill)))
      : []),
  ];
}

// what was measured on the hardware of the spec says nothing of other hardware
function configured(spec: DeploymentSpec, decode: DecodeSpec, prefill?: PoolSpec): DeploymentSpec {
  const { link, calibration, ...rest } = spec;
  const measured = decode.hardware === spec.decode.hardware && (prefill ?? decode).hardware === (spec.prefill ?? spec.decode).hardware;
  const { bytesPerSecond, ...path } = link ?? {};
  return {
    ...rest,
    prefill,
    ...(prefill !== undefined && { link: measured ? link : path }),
    decode,
    ...(measured && { calibration }),
  };
}

// pools of each hardware at each degree, with the cheapest of the open ways to buy
function poolsOf(spec: DeploymentSpec, options: FleetSearchOptions): DecodeSpec[] {
  const ways = options.purchaseOptions ?? LISTED;
  const own = [spec.decode, ...(spec.prefill === undefined ? [] : [spec.prefill])];
  const names = options.hardware ?? [...new Set([...own.map(({ hardware }) => hardware), ...listedHardware(ways)])];
  const heads = ModelArchitecture.fromSpec(spec.model).spec.attentionHeads;
  return names.flatMap((hardware) => {
    const pool = pricedPool(hardware, own.find((given) => given.hardware === hardware), ways);
    return degreesOf(pool, heads, options.tensorParallelDegrees).map((tensorParallelDegree) => ({ ...pool, tensorParallelDegree }));
  });
}

function listedHardware(ways: string[]): string[] {
  return Hardware.names().filter((name) => {
    const type = Hardware.accelerated(name);
    return type !== undefined && !CHIPS_WITHOUT_IMAGE.includes(type.accelerator.name) && COEFFICIENT_SETS.includes(setOf(type.accelerator.name)?.name ?? '') && cheapestWay(name, ways) !== undefined;
  });
}

// what the spec says of this hardware's price and limits holds for every combination; its counts and degrees do not
function pricedPool(hardware: string, given: PoolSpec | undefined, ways: string[]): PoolSpec {
  const { accelerator, usdPerInstanceHour, priceSource, maxSequenceTokens, promptBuckets } = given ?? {};
  return {
    hardware,
    ...(accelerator && { accelerator }),
    maxSequenceTokens,
    promptBuckets,
    ...(usdPerInstanceHour === undefined ? { purchaseOption: cheapestWay(hardware, ways) ?? ways[0] } : { usdPerInstanceHour, priceSource }),
  };
}

function cheapestWay(hardware: string, ways: string[]): string | undefined {
  return ways
    .map((purchaseOption) => ({ purchaseOption, price: poolPrice({ hardware, purchaseOption }) }))
    .filter(({ price }) => price !== undefined)
    .sort((a, b) => a.price!.usdPerHour - b.price!.usdPerHour)[0]?.purchaseOption;
}

// undefined for wafers, where the degree is no choice
function degreesOf(pool: PoolSpec, heads: number, wanted: number[] | undefined): (number | undefined)[] {
  const ranks = machineOf(pool)?.ranks;
  if (ranks === undefined) {
    return [undefined];
  }
  const powers = Array.from({ length: Math.floor(Math.log2(ranks)) + 1 }, (_, power) => 2 ** power);
  return (wanted ?? powers).filter((degree) => degree <= ranks && heads % degree === 0);
}

function compatible(prefill: PoolSpec, decode: PoolSpec): boolean {
  const isNeuron = (pool: PoolSpec) => machineOf(pool)?.accelerator.logicalNeuronCores !== undefined;
  const isWafer = (hardware: string) => Hardware.wafer(hardware) !== undefined;
  return !isWafer(prefill.hardware) && (isWafer(decode.hardware) || isNeuron(prefill) === isNeuron(decode));
}
