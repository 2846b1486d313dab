import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RouterMetrics } from '../../../../src/router/runtime/telemetry/metrics';

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
