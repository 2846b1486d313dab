import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { HeldBodies } from '../admission/held-bodies';
import { Certificate } from '../config';
import { Exchange } from '../exchange';
import { Answer } from './answer';
import { HttpRequest, HttpResponse, Listener } from './listener';
import { OpenExchanges } from './open-exchanges';
import { modelAt, MODELS_PATH, Operation, operationAt, pathNear, patternOf, wireAt } from './operations';
import { bodyOf, dropRest, endUnread } from './request-body';
import { checkHead } from './request-head';
import { Problem, Problems } from '../../../problems';
import { Service } from '../service';
import { Via } from './via';
import { Target } from '../targets/target';
import { logRequest } from '../telemetry/access-log';
import type { EmbeddedMetrics } from '../telemetry/embedded-metrics';
import { RouterMetrics } from '../telemetry/metrics';
import type { OpenTelemetry } from '../telemetry/open-telemetry';
import { ApiError } from '../wire/api-error';
import { modelList, modelNamed } from '../wire/model-list';
import { WholeAnswer } from '../wire/whole-answer';

/** Request ids that are kept: whatever else a caller sends is replaced. */
const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
/** How long broken-off answers have to reach their callers. */
const BREAK_OFF_MILLIS = 2_000;

/** What answers a path, as metrics name it, and how it is asked. */
interface Route {
  readonly name: string;
  readonly method: string;
}

const MODELS: Route = { name: 'models', method: 'GET' };
const ROUTES: { readonly [path: string]: Route } = {
  [MODELS_PATH]: MODELS,
  '/openai/v1/models': MODELS,
  // where engines tell their health, which tools that measure engines ask for.
  '/health': { name: 'healthz', method: 'GET' },
  '/healthz': { name: 'healthz', method: 'GET' },
  '/readyz': { name: 'readyz', method: 'GET' },
  '/metrics': { name: 'metrics', method: 'GET' },
};

/** What a server is made of. */
export interface ServerParts {
  readonly service: Service;
  /** With it, the port speaks TLS. */
  readonly certificate?: Certificate;
  readonly metrics: RouterMetrics;
  /** With it, CloudWatch is told of requests. */
  readonly embedded?: EmbeddedMetrics;
  /** With it, OpenTelemetry is told of requests. */
  readonly telemetry?: OpenTelemetry;
  readonly log: Logger;
}

/**
 * The HTTP service: routes, authentication, the access log, and the way down.
 */
export class RouterServer {
  private readonly metrics: RouterMetrics;
  private readonly embedded?: EmbeddedMetrics;
  private readonly telemetry?: OpenTelemetry;
  private readonly log: Logger;
  private readonly listener: Listener;
  private readonly exchanges = new OpenExchanges();
  private readonly via = new Via();
  private readonly bodies: HeldBodies;
  private service: Service;
  /** Resolves when the requests of the services before have ended. */
  private retired: Promise<unknown> = Promise.resolve();
  private draining = false;

  constructor({ service, certificate, metrics, embedded, telemetry, log }: ServerParts) {
    this.service = service;
    this.metrics = metrics;
    this.bodies = new HeldBodies(metrics);
    this.embedded = embedded;
    this.telemetry = telemetry;
    this.log = log;
    this.listener = new Listener({ ...service.config.limits, tls: certificate }, (...call) => void this.serve(...call));
  }

  /** What new requests come to. */
  public get current(): Service {
    return this.service;
  }

  /** Starts watching the targets and listening. Resolves to the port; rejects with ProblemsError if it cannot be had. */
  public async listen(): Promise<number> {
    const { service, listener } = this;
    const { port, host } = service.config;
    await service.start();
    try {
      return await listener.listen(port, host);
    } catch (e) {
      await service.stop();
      Problems.throwIfAny(listenProblems((e as NodeJS.ErrnoException).code, host, port));
      throw e;
    }
  }

  /** Lets new requests come to another service, which has started. What it has no longer is stopped once no request can need it. */
  public replace(next: Service): void {
    const before = this.service;
    this.service = next;
    next.takeOver(before);
    this.listener.keepIdle(next.config.limits.keepAliveSeconds);
    // a request of an earlier service may need what the last one has given up.
    this.retired = Promise.all([this.retired, before.idle()]).then(async () => before.stop(next));
  }

  /** Proves itself with another certificate to new connections. */
  public prove(certificate: Certificate): void {
    this.listener.prove(certificate);
  }

  /**
   * Goes down without losing a request: not ready at once, no new connection after the lameduck time, and whatever
   * is unfinished at the end of the drain is broken off, so that no caller takes it for whole.
   */
  public async drain(): Promise<void> {
    const { service: { config: { lameduckSeconds, drainSeconds } }, log } = this;
    this.draining = true;
    log.info({ inFlight: this.exchanges.size }, 'draining');
    this.listener.goDown();
    await sleep(lameduckSeconds * 1000);
    this.listener.close();
    const end = performance.now() + (drainSeconds - lameduckSeconds) * 1000;
    while (this.exchanges.size > 0 && performance.now() < end) {
      await sleep(20);
    }
    const cut = this.exchanges.size;
    this.exchanges.cancel(new ApiError(503, 'server_error', 'shutting_down', 'the router is shutting down'));
    const last = performance.now() + BREAK_OFF_MILLIS;
    while (this.exchanges.size > 0 && performance.now() < last) {
      await sleep(20);
    }
    this.listener.closeAllConnections();
    await this.retired;
    await this.service.stop();
    log.info({ cut }, 'drained');
  }

  private async serve(request: HttpRequest, response: HttpResponse, awaitsWord: boolean): Promise<void> {
    const { service } = this;
    const asked = request.headers['x-request-id'];
    const id = typeof asked === 'string' && SANE_REQUEST_ID.test(asked) ? asked : randomUUID();
    const path = pathOf(request);
    const operation = operationAt(path);
    const route = operation === undefined ? routeAt(path) : { name: operation.name, method: 'POST' };
    const answer = new Answer(response, service.config.limits.writeStallSeconds, awaitsWord);
    const exchange = new Exchange(id, route?.name ?? 'unknown', request, answer, operation?.wire ?? wireAt(path));
    this.exchanges.add(exchange);
    if (operation !== undefined) {
      exchange.trace = this.telemetry?.begin(exchange, patternOf(path));
    }
    service.began();
    exchange.answer.setHeaders({ 'x-request-id': id, ...exchange.wire.headers(exchange) });
    if (this.draining) {
      exchange.answer.askToReconnect();
    }
    exchange.answer.onceCallerLeft(() => exchange.callerLeft());
    try {
      checkHead(exchange);
      const methods = route?.method === 'GET' ? ['GET', 'HEAD'] : [route?.method];
      if (route !== undefined && !methods.includes(request.method)) {
        throw new ApiError(405, 'invalid_request_error', 'method_not_allowed', `use ${route.method}`, { allow: methods.join(', ') });
      }
      await this.dispatch(service, exchange, operation);
    } catch (e) {
      this.bodies.letGo(exchange);
      await dropRest(exchange, service.config.limits);
      await exchange.fail(e);
    } finally {
      this.exchanges.delete(exchange);
      this.bodies.letGo(exchange);
      endUnread(exchange, service.config.limits);
      service.ended();
    }
    if (['healthz', 'readyz', 'metrics'].includes(exchange.route)) {
      return;
    }
    this.tell(service, exchange, operation !== undefined);
  }

  /** Tells of a request that has ended. */
  private tell({ targets, config }: Service, exchange: Exchange, isOperation: boolean): void {
    const durationSeconds = exchange.elapsedSeconds();
    this.metrics.tellRequest(exchange, durationSeconds);
    this.embedded?.observe(exchange);
    if (isOperation && this.telemetry !== undefined) {
      const target = targets.find((one) => one.config.name === exchange.target);
      this.telemetry.end(exchange, durationSeconds, target?.config, config.model.id);
    }
    logRequest(this.log, exchange, isOperation, durationSeconds);
  }

  private async dispatch(service: Service, exchange: Exchange, operation: Operation | undefined): Promise<void> {
    const { config, authenticator, targets, forwarder } = service;
    const { metrics } = this;
    switch (exchange.route) {
      case 'healthz':
        return exchange.finish(answerOf(200, 'application/json', '{"status":"alive"}'));
      case 'readyz':
        return this.tellReadiness(targets, exchange);
      case 'metrics':
        metrics.tellUpstreams(targets);
        return exchange.finish(answerOf(200, metrics.registry.contentType, await metrics.registry.metrics()));
    }
    exchange.caller = await authenticator.check(exchange.request.headers.authorization);
    if (exchange.route === 'models') {
      const { servedNames } = config.model;
      const name = modelAt(pathOf(exchange.request));
      return exchange.finish(answerOf(200, 'application/json', name === undefined ? modelList(servedNames) : modelNamed(name, servedNames)));
    }
    if (operation === undefined) {
      const near = pathNear(pathOf(exchange.request));
      throw new ApiError(404, 'invalid_request_error', 'not_found', `there is nothing at this path${near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`}`);
    }
    exchange.via = this.via.of(exchange.request.headers.via);
    forwarder.checkRate(exchange);
    exchange.makeRoom = (bytes) => this.bodies.holdMore(exchange, bytes, config.limits);
    const body = await forwarder.bodyOf(exchange, async () => bodyOf(exchange, config.limits, this.bodies));
    exchange.bodyCame();
    return forwarder.forward(exchange, (by) => {
      const { request, wire } = operation.read(body, by, exchange.request.headers);
      exchange.wire = wire;
      exchange.asked = request;
      exchange.streamed = request.stream;
      exchange.trace?.asked(exchange);
      return request;
    });
  }

  /** Ready unless draining: engines that are down are told here and as 503 to callers, but are no reason to replace the router. */
  private async tellReadiness(of: Target[], exchange: Exchange): Promise<void> {
    const targets = Object.fromEntries(of.map((target) =>
      [target.config.name, { endpoints: target.endpointCount, healthy: target.healthyCount }]));
    const body = JSON.stringify({ status: this.draining ? 'draining' : 'ready', targets });
    return exchange.finish(answerOf(this.draining ? 503 : 200, 'application/json', body));
  }
}

/** The path, also of a target in absolute form, whose host says nothing here. */
function pathOf({ url = '' }: HttpRequest): string {
  const [target] = url.split('?', 1);
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/]*/i, '') || '/';
}

/** What the router answers itself at a path; undefined if there is nothing. */
function routeAt(path: string): Route | undefined {
  return Object.hasOwn(ROUTES, path) ? ROUTES[path] : modelAt(path) === undefined ? undefined : MODELS;
}

/** What is wrong with where a router is to listen; nothing for an error that no setting mends. */
function listenProblems(code: string | undefined, host: string | undefined, port: number): Problem[] {
  const place = `${host === undefined ? 'port ' : `${host}:`}${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return [{ rule: 'PortInUse', path: 'config.port', message: `${place} is in use`, mend: 'stop what listens there, or give another port; 0 takes a free one' }];
    case 'EACCES':
      return [{
        rule: 'PortNotAllowed', path: 'config.port', message: `this user may not listen on ${place}`, mend: 'give a port from 1024 on, or let the process have CAP_NET_BIND_SERVICE',
      }];
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return [{
        rule: 'HostNotHere', path: 'config.host', value: JSON.stringify(host), message: 'this is no address of this machine', mend: 'give one that it has, or leave host out for all',
      }];
  }
  return [];
}

function answerOf(status: number, type: string, body: string): WholeAnswer {
  return { status, headers: { 'content-type': type }, body: Buffer.from(body) };
}
