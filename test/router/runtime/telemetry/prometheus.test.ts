import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRouterConfig } from '../../../../src/router/runtime';
import { RouterMetrics } from '../../../../src/router/runtime/telemetry/metrics';
import { configOf, KEY, MockEngine, routerFor, until, whole } from '../harness';

test('the page of the router tells of every metric, and of no metric or label that is not there', async () => {
  const page = readFileSync(join(__dirname, '../../../../docs/ROUTER.md'), 'utf8');
  const told = [...page.matchAll(/`(router_\w+)(?:\{([^}]*)\})?`/g)].map(([, name, labels]) => ({ name, labels: labels?.split(', ') ?? [] }));
  const { registry } = new RouterMetrics(undefined);
  const names = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  expect([...new Set(told.map(({ name }) => name))].sort()).toEqual([...names].sort());
  for (const { name, labels } of told) {
    // what a metric is made with, which it does not tell.
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] };
    expect([name, labels.filter((label) => !labelNames.includes(label))]).toEqual([name, []]);
  }
});

test('targets that a reload has taken away are told of no longer', async () => {
  const engine = await MockEngine.start(whole);
  const named = (name: string) => ({ name, role: 'aggregated', protocol: 'openai', url: engine.url });
  const router = await routerFor([named('one'), named('other')]);
  const healthy = async () => (await (await fetch(`${router.url}/metrics`)).text()).match(/^router_upstream_healthy.*$/gm);
  await until(async () => (await healthy())?.every((line) => line.endsWith(' 1')) === true, 'the engine is up');
  expect(await healthy()).toEqual(['router_upstream_healthy{target="one"} 1', 'router_upstream_healthy{target="other"} 1']);
  await router.reload(parseRouterConfig(JSON.stringify(configOf([named('other')])), { KEYS: KEY }));
  expect(await healthy()).toEqual(['router_upstream_healthy{target="other"} 1']);
  await router.drain();
  await engine.stop();
});
