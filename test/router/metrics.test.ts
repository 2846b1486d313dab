import Ajv from 'ajv';
import { App, Stack, aws_cloudwatch as cloudwatch, aws_ec2 as ec2, aws_ecs as ecs } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { ask, chat, chunkOf, DONE, MODEL, MockEngine, routerFor, sse, streamOf, TestRouter, until, whole } from './runtime/harness';
import schema from './runtime/telemetry/emf.schema.json';
import { EngineEndpoint } from '../../src/decode';
import { BedrockRouter } from '../../src/router';

const isDocument = new Ajv({ allErrors: true }).compile(schema);
const USAGE = sse({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 3 } });
const stream = streamOf(['hel', 'lo'], 0, USAGE + DONE);
const documents = (router: TestRouter) => router.lines.filter(({ _aws }) => _aws !== undefined);
/** The values of a metric as CloudWatch extracts them from a document: for the router alone, unless another set of dimensions is named. */
const valuesOf = (lines: any[], name: string, dimensions: { [name: string]: string }): number[] => lines.flatMap((line) =>
  line._aws.CloudWatchMetrics.some(({ Dimensions, Metrics }: any) =>
    Metrics.some(({ Name }: any) => Name === name)
    && Dimensions.some((set: string[]) => set.length === Object.keys(dimensions).length && set.every((key) => line[key] === dimensions[key])))
    ? [line[name]].flat() : []);

let engine: MockEngine;
let router: TestRouter;
beforeAll(async () => {
  engine = await MockEngine.start(stream);
});
afterAll(async () => engine.stop());
const start = async (emf: object, more: object = {}) => {
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }], { emf, ...more });
};
const askedFor = async (count: number, body = chat({ stream: true })) => {
  for (let i = 0; i < count; i++) {
    await (await ask(router.url, body)).text();
  }
};
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

test('every request is told, in documents of the embedded metric format, and the log is the log beside them', async () => {
  await start({ router: 'r', intervalSeconds: 3600 });
  await askedFor(202);
  await ask(router.url, '{}');
  await fetch(`${router.url}/v1/models`);
  await until(() => router.lines.filter(({ msg }) => msg === 'request').length === 204, 'every request is logged');
  await router.drain();
  const lines = documents(router);
  lines.forEach((line) => expect([isDocument(line), isDocument.errors]).toEqual([true, null]));
  // a hundred times a document, and what is left at the end.
  expect(lines.length).toBeLessThanOrEqual(6);
  const told = (name: string, more = {}) => valuesOf(lines, name, { Router: 'r', ...more });
  expect(sum(told('Requests'))).toBe(204);
  expect(sum(told('Requests', { Path: 'aggregated' }))).toBe(202);
  expect([sum(told('Throttles')), sum(told('ServerErrors')), sum(told('StreamErrors'))]).toEqual([0, 0, 0]);
  expect([sum(told('InputTokens')), sum(told('OutputTokens'))]).toEqual([202 * 12, 202 * 3]);
  for (const name of ['TimeToFirstToken', 'TimePerOutputToken']) {
    expect(told(name)).toHaveLength(202);
    expect(told(name).every((value) => value >= 0 && value < 60)).toBe(true);
    expect(told(name).sort()).toEqual(router.lines.filter(({ ttftSeconds }) => ttftSeconds !== undefined)
      .map((line) => line[name === 'TimeToFirstToken' ? 'ttftSeconds' : 'tpotSeconds']).sort());
  }
  expect(JSON.stringify(lines)).not.toContain('secret prompt');
});

test('answers that break off, fail or are refused are told apart', async () => {
  await start({ namespace: 'My/Own', router: 'r', intervalSeconds: 3600 });
  engine.behaviour = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(sse(chunkOf('a')), () => response.destroy());
  };
  await ask(router.url, chat({ stream: true })).then(async (response) => response.text()).catch(() => undefined);
  engine.behaviour = (response) => void response.writeHead(500).end('{}');
  await ask(router.url, chat());
  // Bedrock tells of a failed model with 424.
  expect((await ask(router.url, { messages: [{ role: 'user', content: [{ text: 'hello' }] }] }, {}, `/model/${MODEL}/converse`)).status).toBe(424);
  engine.behaviour = stream;
  await router.drain();
  const lines = documents(router);
  expect(lines.every((line) => line._aws.CloudWatchMetrics[0].Namespace === 'My/Own')).toBe(true);
  const told = (name: string) => sum(valuesOf(lines, name, { Router: 'r' }));
  expect([told('Requests'), told('StreamErrors'), told('ServerErrors'), told('Throttles')]).toEqual([3, 1, 2, 0]);

  await start({ router: 'r', intervalSeconds: 3600 }, { rateLimits: { requestsPerMinute: 1 } });
  const statuses = await Promise.all([1, 2, 3, 4, 5].map(async () => (await ask(router.url, chat())).status));
  await router.drain();
  const refused = statuses.filter((status) => status === 429).length;
  expect(refused).toBeGreaterThan(0);
  expect(sum(valuesOf(documents(router), 'Throttles', { Router: 'r' }))).toBe(refused);
});

test('what there is at a time is told in each interval, and nothing where it is not asked for', async () => {
  await start({ router: 'r', intervalSeconds: 0.05 });
  await until(() => valuesOf(documents(router), 'HealthyEndpoints', { Router: 'r', Target: 'engine' }).at(-1) === 1, 'targets are told of');
  expect(valuesOf(documents(router), 'QueuedRequests', { Router: 'r' })[0]).toBe(0);
  await router.drain();
  router = await routerFor([{ name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url }]);
  engine.behaviour = whole;
  await askedFor(1, chat());
  await router.drain();
  expect(documents(router)).toEqual([]);
});

test('the metrics of the construct are those that its tasks tell', async () => {
  const stack = new Stack(new App(), 'Stack');
  const construct = new BedrockRouter(stack, 'Router', {
    vpc: new ec2.Vpc(stack, 'Vpc'),
    image: ecs.ContainerImage.fromRegistry('router.example/router:1'),
    engines: [EngineEndpoint.openai({ name: 'engine', url: 'https://engine.example' })],
    servedModelNames: ['m'],
    metricsNamespace: 'My/Own',
  });
  const [parameter] = Object.values(Template.fromStack(stack).findResources('AWS::SSM::Parameter'));
  const { emf } = JSON.parse(parameter.Properties.Value['Fn::Join'][1].map((part: unknown) => (typeof part === 'string' ? part : 'token')).join(''));
  expect(emf).toEqual({ namespace: 'My/Own', router: expect.stringMatching(/^StackRouter/) });

  engine.behaviour = stream;
  // one at a time, so that others wait.
  const alone = { name: 'engine', role: 'aggregated', protocol: 'openai', url: engine.url, maxInFlight: 1 };
  router = await routerFor([alone], { emf: { ...emf, intervalSeconds: 0.05 } });
  await Promise.all([askedFor(1), askedFor(1), askedFor(1)]);
  await until(() => valuesOf(documents(router), 'HealthyEndpoints', { Router: emf.router, Target: 'engine' }).length > 0, 'targets are told of');
  await router.drain();
  const lines = documents(router);
  const metrics: cloudwatch.Metric[] = [
    construct.metricTimeToFirstToken(), construct.metricTimePerOutputToken(), construct.metricQueueTime(), construct.metricQueuedRequests(),
    construct.metricThrottles(), construct.metricServerErrors(), construct.metricStreamErrors(), construct.metricHandoffFallbacks(),
    construct.metricInputTokens(), construct.metricOutputTokens(), construct.metricUnsharedLimits(), construct.metricHealthyEndpoints('engine'),
    construct.metricService('Requests', { dimensionsMap: { Path: 'aggregated' } }),
  ];
  for (const { namespace, metricName, dimensions } of metrics) {
    const inNamespace = lines.filter((line) => line._aws.CloudWatchMetrics[0].Namespace === namespace);
    expect([metricName, valuesOf(inNamespace, metricName, dimensions as { [name: string]: string }).length > 0]).toEqual([metricName, true]);
  }
  // and every one that is told by the router alone or by target is one of the construct's.
  const told = new Set(lines.flatMap((line) => line._aws.CloudWatchMetrics[0].Metrics.map(({ Name }: any) => Name)));
  expect([...told].sort()).toEqual([...new Set(metrics.map(({ metricName }) => metricName))].sort());
});
