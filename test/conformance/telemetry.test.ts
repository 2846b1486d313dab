import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ask, chat, configOf, delta, drained, KEY, MockEngine, MODEL, streaming } from '../router/runtime/harness';
import { bundle, RouterProcess } from '../router/runtime/router-process';
import { Collector } from '../router/runtime/telemetry/collector';

const PYTHON = join(__dirname, '../../.venv/bin/python');

test('what the router tells is understood by OpenTelemetry\'s protocol and by Prometheus\' parser, and named as Prometheus has it', async () => {
  const collector = await Collector.start();
  const usage = { prompt_tokens: 7, completion_tokens: 2 };
  const engine = await MockEngine.start(streaming([delta({ content: 'a' }), delta({ content: 'b' }, 'stop'), { object: 'chat.completion.chunk', choices: [], usage }]));
  const router = new RouterProcess(bundle('telemetry.js'), {
    ROUTER_CONFIG: JSON.stringify(configOf([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }])),
    KEYS: KEY,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  });
  try {
    const url = `http://127.0.0.1:${(await router.said('listening')).port}`;
    expect((await drained(await ask(url, chat({ stream: true })))).broken).toBe(false);
    expect((await ask(url, '{}')).status).toBe(400);
    const prometheus = await (await fetch(`${url}/metrics`)).text();
    router.child.kill('SIGTERM');
    expect(await router.exit).toBe(0);
    const sent = (path: string) => collector.sent.find((one) => one.path === path)!.text;
    const input = JSON.stringify({ metrics: sent('/v1/metrics'), traces: sent('/v1/traces'), prometheus });
    const { points, spans, families } = JSON.parse(execFileSync(PYTHON, [join(__dirname, 'clients/telemetry.py')], { input, encoding: 'utf8' }));

    expect(points).toEqual([
      'gen_ai.server.request.duration', 'gen_ai.server.request.duration', 'gen_ai.server.time_to_first_token', 'gen_ai.server.time_per_output_token',
      'gen_ai.client.token.usage', 'gen_ai.client.token.usage',
    ].map((name) => ({ name, count: 1, isWhole: true, isInTime: true })));
    expect(spans).toEqual(['decode', `chat ${MODEL}`, 'chat']);

    const own = families.filter(({ name }: { name: string }) => name.startsWith('router_'));
    expect(own.length).toBeGreaterThan(15);
    // as promtool judges them: a help text, base units, `_total` of counters, which the parser takes off, alone, and no suffix that a type adds itself.
    const odd = own.filter(({ name, help }: { name: string; help: string }) =>
      help === '' || /_(total|count|sum|bucket|info|created|milliseconds|ms|minutes|hours|kilobytes|megabytes|percent)$/.test(name));
    expect(odd).toEqual([]);
    // a counter without its suffix is of no type for the parser.
    expect(own.filter(({ type }: { type: string }) => !['counter', 'gauge', 'histogram'].includes(type))).toEqual([]);
  } finally {
    router.child.kill('SIGKILL');
    await router.exit;
    await engine.stop();
    await collector.stop();
  }
});
