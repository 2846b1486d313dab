import { FleetPlanner, FleetPool, FleetSearch, FleetSearchOptions } from '../estimator';
import { estimateText, refusalText } from './estimate-text';
import { readSpec } from './spec-file';
import { number, table, time } from './text-table';
import { searchProblems } from '../estimator/planner/search-problems';
import { Problem } from '../problems';

/** Rejected combinations that the text tells. */
const MAX_REJECTED = 20;

/** Flags by the names that the search has for what they give. */
const FLAGS: { readonly [name: string]: { readonly flag: string; readonly option: 'hardware' | 'purchaseOption' | 'tensorParallelDegree' | 'serving' } } = {
  hardware: { flag: '--hardware', option: 'hardware' },
  purchaseOptions: { flag: '--purchase-option', option: 'purchaseOption' },
  tensorParallelDegrees: { flag: '--tensor-parallel-degree', option: 'tensorParallelDegree' },
  servings: { flag: '--serving', option: 'serving' },
};

/** Options of `search` as the command line gives them. */
export interface SearchOptions {
  readonly set: string[];
  readonly hardware: string[];
  readonly purchaseOption: string[];
  readonly tensorParallelDegree: string[];
  readonly serving: string[];
  readonly simulate: boolean;
}

/**
 * The search that the options ask for.
 */
export function searchFleets(file: string, options: SearchOptions): FleetSearch {
  const given = <T>(list: T[]) => list.length === 0 ? undefined : list;
  const asked: FleetSearchOptions = {
    hardware: given(options.hardware),
    purchaseOptions: given(options.purchaseOption),
    tensorParallelDegrees: given(options.tensorParallelDegree.map(Number)),
    servings: given(options.serving),
    simulate: options.simulate,
  };
  return FleetPlanner.search(readSpec(file, options.set, (spec) => searchProblems(spec, asked).map((one) => ofFlag(one, options))), asked);
}

/** A problem of what a flag gives by the name of the flag, and with what was given. */
function ofFlag(problem: Problem, options: SearchOptions): Problem {
  const [, name, index] = /^(\w+)\[(\d+)\]$/.exec(problem.path) ?? [];
  const { flag, option } = FLAGS[name] ?? {};
  return option === undefined ? problem : { ...problem, path: flag, value: JSON.stringify(options[option][Number(index)]) };
}

/**
 * A search as text for a terminal: the cheapest fleet, or why there is none, what more money buys, and what was rejected.
 */
export function searchText({ outcome: { estimate, refusal }, considered, front, rejected, solver }: FleetSearch): string {
  const sections = [estimate ? estimateText(estimate) : refusalText(refusal!)];
  if (front.length > 0) {
    const confirmed = solver === 'simulation' ? 'confirmed by simulation' : 'by the closed form alone';
    sections.push(`the cheapest of ${considered} combinations, and what more money buys, ${confirmed}`, table([
      ['USD/h', 'TTFT', 'TPOT', 'end to end', 'prefill', 'decode'],
      ...front.map(({ usdPerHour, ttftSeconds, tpotSeconds, endToEndSeconds, prefill, decode }) => [
        number(usdPerHour), time(ttftSeconds), time(tpotSeconds), time(endToEndSeconds), poolText(prefill), poolText(decode),
      ]),
    ], 0, 4));
  }
  if (rejected.length > 0) {
    sections.push(table([
      ['rejected: prefill', 'decode', 'USD/h', 'because'],
      ...rejected.slice(0, MAX_REJECTED).map(({ prefill, decode, usdPerHour, reason }) => [
        poolText(prefill), poolText(decode), usdPerHour === undefined ? '-' : number(usdPerHour), reason,
      ]),
    ], 2, 3));
  }
  if (rejected.length > MAX_REJECTED) {
    sections.push(`and ${rejected.length - MAX_REJECTED} more, which --format json tells`);
  }
  return sections.join('\n\n');
}

function poolText(pool: FleetPool | undefined): string {
  if (pool === undefined) {
    return '-';
  }
  const { instances, hardware, tensorParallelDegree, purchaseOption } = pool;
  return [
    ...(instances === undefined ? [] : [`${instances} x`]),
    hardware,
    ...(tensorParallelDegree === undefined ? [] : [`TP ${tensorParallelDegree}`]),
    ...(purchaseOption === undefined ? [] : [purchaseOption]),
  ].join(' ');
}
