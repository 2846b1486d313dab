/**
 * What the router of the quick-start decides, by length of a prompt and load: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/routing.ts`.
 *
 * The load is prompts of the workload's mean length that the prefill engine has yet to read; decode engines are as busy as the estimate says.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { QuickStartStack } from '../examples/quick-start/quick-start-stack';
import { Estimate } from '../src/estimator';
import { routingRates } from '../src/estimator/routing-rates';
import { Service } from '../src/estimator/service';
import { decide, PathState, Recalibration, RoutingPolicy, ServiceTier } from '../src/routing';

const PROMPT_TOKENS = [16, 128, 512, 1024, 2048, 4096, 8192, 16384];
const WAITING = [0, 2, 4, 6, 8, 12, 16];

const app = new App();
const stack = new QuickStartStack(app, 'QuickStart');
const file = join(app.synth().directory, `${stack.artifactId}.inference-estimate.json`);
const [{ estimate: { spec } }] = Object.values<{ estimate: Estimate }>(JSON.parse(readFileSync(file, 'utf8')).services);

const service = new Service(spec);
service.solve(spec.prefill!.instances!, spec.decode.instances!);
const sequences = Math.round(service.form.batch);
const meanTokens = Math.round(spec.workload.lengthClasses.reduce((sum, { weight, inputTokens }) => sum + weight * inputTokens, 0));
const { disaggregated, aggregated, minPromptTokens } = routingRates(spec)!;
const { ttftSeconds, tpotSeconds } = spec.objective!;
const policy: RoutingPolicy = {
  ttftSeconds,
  tpotSeconds,
  minPromptTokens: minPromptTokens!,
  disaggregated: new Recalibration(disaggregated, 0),
  aggregated: new Recalibration(aggregated!, 0),
};
const at = (queuedPromptTokens: number): PathState => ({ isUp: true, freeSlots: 1, queuedPromptTokens, sequences });

console.log(`TTFT ${ttftSeconds} s and TPOT ${tpotSeconds} s are promised; the mean prompt has ${meanTokens} tokens, a decode engine ${sequences} sequences`);
for (const tier of ['default', 'priority'] as ServiceTier[]) {
  console.log(`\ntier ${tier}: prompts that wait for the prefill engine, across; tokens of the prompt, down`);
  console.table(Object.fromEntries(PROMPT_TOKENS.map((promptTokens) => [promptTokens, Object.fromEntries(WAITING.map((waiting) => {
    const state = { disaggregated: at(waiting * meanTokens), aggregated: at(0) };
    const { path, reason } = decide({ promptTokens, isEligible: true, tier }, state, policy);
    return [waiting, `${path.slice(0, 6)} ${reason}`];
  }))])));
}

console.log(`\none decision takes ${nanosecondsOfDecision(5e6).toFixed(0)} ns of a core`);

function nanosecondsOfDecision(decisions: number): number {
  const pair: { -readonly [name in keyof PathState]: PathState[name] } = at(0);
  const request = { promptTokens: 0, isEligible: true, tier: 'default' as ServiceTier };
  const state = { disaggregated: pair, aggregated: at(0) };
  const before = process.cpuUsage();
  for (let i = 0; i < decisions; i++) {
    request.promptTokens = i % 4096;
    pair.queuedPromptTokens = (i * 7) % 30_000;
    decide(request, state, policy);
  }
  return process.cpuUsage(before).user * 1000 / decisions;
}
