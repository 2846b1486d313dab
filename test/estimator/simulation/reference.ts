import { fill } from '../../../src/estimator/calibration/calibration';
import { Coefficients } from '../../../src/estimator/phases/coefficients';
import { decodeStepSeconds } from '../../../src/estimator/phases/decode';
import { kvTransferSeconds } from '../../../src/estimator/phases/kv-transfer';
import { paddedTokens, promptSeconds } from '../../../src/estimator/phases/prefill';
import { kvBytes, kvReadBytes } from '../../../src/estimator/phases/shapes';
import { Service } from '../../../src/estimator/service';

/** A request on its way through the reference. */
export interface ReferenceRequest {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  arrival: number;
  firstToken: number;
  finish: number;
  written: number;
}

interface Flow { request: ReferenceRequest; engine: DecodeEngine; left: number }
interface Link { flows: Flow[]; at: number }
interface PrefillEngine { queue: ReferenceRequest[]; ends: number; link: Link }
interface DecodeEngine {
  assigned: number; waiting: ReferenceRequest[]; batch: ReferenceRequest[]; reading?: ReferenceRequest; ends: number; link: Link;
}

/**
 * The same fleet, token by token: plain loops over plain lists, every step priced by the phases' own functions. Slow, and easy to check by reading.
 *
 * Requests are in order of arrival. With clients only the first ones' arrivals are given, the others' are set as they come.
 */
export function reference(service: Service, prefillInstances: number, decodeInstances: number, requests: ReferenceRequest[], clients: number): void {
  const { plant, decode: resolvedDecode, prefill: resolvedPrefill } = service.resolved;
  const { model, link, decode, prefill } = plant;
  const aggregated = prefill === undefined;
  const promptSet = fill(new Coefficients(), (resolvedPrefill ?? resolvedDecode).set);
  const tokenSet = fill(new Coefficients(), resolvedDecode.set);
  const buckets = (resolvedPrefill ?? resolvedDecode).promptBuckets;
  const copies = decode.engine.kvCopies;

  const readSeconds = (r: ReferenceRequest) => promptSeconds(
    model, (prefill ?? decode).engine, promptSet, paddedTokens(r.inputTokens - r.cachedTokens, buckets), r.cachedTokens, plant.classes.segmentTokens,
  );
  const stepSeconds = (batch: ReferenceRequest[]) => {
    if (decode.wafers !== undefined) {
      return service.form.stepSeconds(batch.length);
    }
    const bytes = batch.reduce((sum, r) => sum + kvReadBytes(model, r.inputTokens + r.written), 0);
    return decodeStepSeconds(model, decode.engine, tokenSet, batch.length, bytes / batch.length);
  };
  const heldBytes = (r: ReferenceRequest) => kvBytes(model, r.inputTokens + r.outputTokens) * copies;

  // the narrower end of the way has one shared link for each of its instances
  let out = Infinity;
  let into = Infinity;
  if (link !== undefined) {
    out = link.prefillBytesPerSecond * (link.measured ? 1 : promptSet.linkUtilisation);
    into = link.decodeBytesPerSecond * (decode.wafers === undefined ? tokenSet.linkUtilisation : tokenSet.waferIngestUtilisation);
  }
  const atPrefill = prefillInstances * out <= decodeInstances * into;
  const capacity = atPrefill ? out : into;
  const flowRate = Math.min(link?.measured ? out : out / (prefill?.enginesPerInstance ?? 1), into / decode.enginesPerInstance);

  const links: Link[] = [];
  const newLink = () => {
    const made: Link = { flows: [], at: 0 };
    links.push(made);
    return made;
  };
  const prefillEngines: PrefillEngine[] = [];
  const decodeEngines: DecodeEngine[] = [];
  for (let i = 0; prefill !== undefined && i < prefillInstances; i++) {
    const own = newLink();
    for (let e = 0; e < prefill.enginesPerInstance; e++) {
      prefillEngines.push({ queue: [], ends: Infinity, link: own });
    }
  }
  for (let i = 0; i < decodeInstances; i++) {
    const own = newLink();
    for (let e = 0; e < decode.enginesPerInstance; e++) {
      decodeEngines.push({ assigned: 0, waiting: [], batch: [], ends: Infinity, link: own });
    }
  }
  const fewest = <T>(engines: T[], count: (engine: T) => number) => engines.reduce((best, engine) => (count(engine) < count(best) ? engine : best));

  // constant delays on the way, as lists in order of time
  const entering: [number, ReferenceRequest][] = [];
  const settingUp: [number, ReferenceRequest, number, Link][] = [];
  let sent = 0;
  const send = (now?: number) => {
    if (sent < requests.length) {
      const request = requests[sent++];
      request.arrival = now ?? request.arrival;
      entering.push([request.arrival + promptSet.gatewaySeconds, request]);
    }
  };
  for (let i = 0; i < (clients > 0 ? clients : requests.length); i++) {
    send();
  }

  const rate = (l: Link) => Math.min(flowRate, capacity / l.flows.length);
  const moveTo = (l: Link, now: number) => {
    l.flows.forEach((flow) => {
      flow.left -= rate(l) / flowRate * (now - l.at);
    });
    l.at = now;
  };
  const nextFlow = (l: Link) => l.flows.reduce((least, flow) => Math.min(least, l.at + flow.left * flowRate / rate(l)), Infinity);

  const finish = (engine: DecodeEngine, request: ReferenceRequest, now: number) => {
    request.finish = now;
    engine.assigned--;
    if (clients > 0) {
      send(now);
    }
  };
  const fits = (engine: DecodeEngine, request: ReferenceRequest) => engine.batch.length < decode.maxSequences
    && engine.batch.reduce((sum, r) => sum + heldBytes(r), heldBytes(request)) <= decode.kvMemoryBytes;
  const nextStep = (engine: DecodeEngine, now: number) => {
    if (aggregated) {
      if (engine.waiting.length > 0 && fits(engine, engine.waiting[0])) {
        engine.reading = engine.waiting.shift()!;
        engine.ends = now + readSeconds(engine.reading);
        return;
      }
    } else {
      while (engine.waiting.length > 0 && fits(engine, engine.waiting[0])) {
        engine.batch.push(engine.waiting.shift()!);
      }
    }
    engine.ends = engine.batch.length > 0 ? now + stepSeconds(engine.batch) : Infinity;
  };
  const deliver = (engine: DecodeEngine, request: ReferenceRequest, now: number) => {
    engine.waiting.push(request);
    if (engine.ends === Infinity) {
      nextStep(engine, now);
    }
  };

  for (;;) {
    // the earliest event; of equal ones arrivals, prefill, links, decode, in this order
    let now = Infinity;
    let act = () => {};
    const consider = (time: number, action: () => void) => {
      if (time < now) {
        now = time;
        act = action;
      }
    };
    consider(entering.length > 0 ? entering[0][0] : Infinity, () => {
      const [, request] = entering.shift()!;
      if (aggregated) {
        const engine = fewest(decodeEngines, (e) => e.assigned);
        engine.assigned++;
        deliver(engine, request, now);
        return;
      }
      const engine = fewest(prefillEngines, (e) => e.queue.length);
      engine.queue.push(request);
      if (engine.queue.length === 1) {
        engine.ends = now + readSeconds(request);
      }
    });
    prefillEngines.forEach((engine) => consider(engine.ends, () => {
      const request = engine.queue.shift()!;
      engine.ends = engine.queue.length > 0 ? now + readSeconds(engine.queue[0]) : Infinity;
      const exposed = kvTransferSeconds(kvBytes(model, request.inputTokens) * copies, flowRate, 0, 0, link!.overlapLayers, readSeconds(request));
      settingUp.push([now + promptSet.linkBaseSeconds, request, exposed, engine.link]);
    }));
    consider(settingUp.length > 0 ? settingUp[0][0] : Infinity, () => {
      const [, request, left, from] = settingUp.shift()!;
      const engine = fewest(decodeEngines, (e) => e.assigned);
      engine.assigned++;
      const l = atPrefill ? from : engine.link;
      moveTo(l, now);
      l.flows.push({ request, engine, left });
    });
    links.forEach((l) => consider(nextFlow(l), () => {
      moveTo(l, now);
      const first = l.flows.reduce((best, flow) => (flow.left < best.left ? flow : best));
      l.flows.splice(l.flows.indexOf(first), 1);
      deliver(first.engine, first.request, now);
    }));
    decodeEngines.forEach((engine) => consider(engine.ends, () => {
      if (engine.reading !== undefined) {
        const request = engine.reading;
        engine.reading = undefined;
        request.firstToken = now;
        request.written = 1;
        engine.batch.push(request);
      } else {
        for (const request of engine.batch) {
          request.written++;
          if (request.written === 1) {
            request.firstToken = now;
          }
        }
      }
      const done = engine.batch.filter((r) => r.written === r.outputTokens);
      engine.batch = engine.batch.filter((r) => r.written < r.outputTokens);
      done.forEach((request) => finish(engine, request, now));
      nextStep(engine, now);
    }));
    if (now === Infinity) {
      return;
    }
    act();
  }
}
