import { Prompt, ReferenceBlocks } from './blocks-reference';
import { fill } from '../../../src/estimator/calibration/calibration';
import { Coefficients } from '../../../src/estimator/phases/coefficients';
import { decodeStepSeconds } from '../../../src/estimator/phases/decode';
import { postingSeconds } from '../../../src/estimator/phases/kv-transfer';
import { paddedTokens, promptSeconds } from '../../../src/estimator/phases/prefill';
import { kvBytes, kvReadBytes } from '../../../src/estimator/phases/shapes';
import { speculativeStepSeconds, tokensPerStep } from '../../../src/estimator/phases/speculation';
import { Service } from '../../../src/estimator/service';
import { InstanceFailure } from '../../../src/estimator/simulation';
import { FleetRouting } from '../../../src/estimator/simulation/routing';
import { SERVICE_TIERS, decide } from '../../../src/routing';

/** A request on its way through the reference. */
export interface ReferenceRequest extends Prompt {
  /** Given, or found where engines keep what prompts are made of. */
  cachedTokens: number;
  readonly outputTokens: number;
  readonly rank: number;
  /** Whether it was answered with an error, at `finish`. */
  failed: boolean;
  arrival: number;
  firstToken: number;
  finish: number;
  written: number;
}

interface Flow { request: ReferenceRequest; from: PrefillEngine; fromLife: number; left: number; isLast: boolean }
interface Link { flows: Flow[]; at: number }
interface Engine { ends: number; link: Link; isUp: boolean; outages: number; life: number; turn: number }
interface PrefillEngine extends Engine { queue: ReferenceRequest[]; cache?: ReferenceBlocks }
interface DecodeEngine extends Engine {
  assigned: number;
  waiting: ReferenceRequest[];
  batch: ReferenceRequest[];
  reading?: ReferenceRequest;
  cache?: ReferenceBlocks;
}

/**
 * The same fleet, token by token: plain loops over plain lists, every step priced by the phases' own functions. Slow, and easy to check by reading.
 *
 * With `blocks` of each engine that reads prompts, these find what others have left there, and nothing elsewhere.
 *
 * Requests are in order of arrival. With clients only the first ones' arrivals are given, the others' are set as they come.
 */
export function reference(
  service: Service, prefillInstances: number, decodeInstances: number,
  requests: ReferenceRequest[], clients: number, failures: readonly InstanceFailure[],
  routing?: FleetRouting, blocks?: number,
): void {
  const { plant, decode: resolvedDecode, prefill: resolvedPrefill } = service.resolved;
  const { model, link, decode, prefill } = plant;
  const aggregated = prefill === undefined;
  const promptSet = fill(new Coefficients(), (resolvedPrefill ?? resolvedDecode).set);
  const tokenSet = fill(new Coefficients(), resolvedDecode.set);
  const copies = decode.kvCopies;

  const pace = decode.speculation === undefined ? 1 : tokensPerStep(decode.speculation);
  const setUpSeconds = (r: ReferenceRequest) => link?.blockTokens === undefined
    ? promptSet.linkBaseSeconds : postingSeconds(model.kvTensors, r.inputTokens, link.blockTokens, promptSet.linkDescriptorSeconds);
  const readSeconds = (r: ReferenceRequest, here = aggregated) => {
    const buckets = here ? resolvedDecode.promptBuckets : resolvedPrefill!.promptBuckets;
    return promptSeconds(
      model, (here ? decode.engine : prefill?.engine)!, here ? tokenSet : promptSet,
      paddedTokens(r.inputTokens - r.cachedTokens, buckets), r.cachedTokens, buckets.at(-1) ?? Infinity,
    );
  };
  const readHere = new Set<ReferenceRequest>();
  const inOrder = (queue: ReferenceRequest[], request: ReferenceRequest) => {
    const at = queue.findIndex(({ rank }) => rank > request.rank);
    queue.splice(at < 0 ? queue.length : at, 0, request);
  };
  const stepSeconds = (batch: ReferenceRequest[]) => {
    if (decode.wafers !== undefined) {
      return service.form.stepSeconds(batch.length);
    }
    const bytes = batch.reduce((sum, r) => sum + kvReadBytes(model, r.inputTokens + r.written), 0);
    return decode.speculation === undefined
      ? decodeStepSeconds(model, decode.engine, tokenSet, batch.length, bytes / batch.length)
      : speculativeStepSeconds(model, decode.engine, tokenSet, batch.length, bytes / batch.length, decode.speculation);
  };
  const heldBytes = (r: ReferenceRequest) => kvBytes(
    model, Math.ceil((r.inputTokens + r.outputTokens) / decode.kvBlockTokens) * decode.kvBlockTokens) * copies;
  const newCache = () => blocks === undefined ? undefined : new ReferenceBlocks(blocks, (prefill ?? decode).kvBlockTokens);
  const readInto = (cache: ReferenceBlocks, request: ReferenceRequest, tokens: number) => {
    request.cachedTokens = cache.admit(request, request.inputTokens);
    cache.grow(request, tokens);
    cache.write(request, request.cachedTokens, request.inputTokens);
  };

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
      prefillEngines.push({ cache: newCache(), queue: [], ends: Infinity, link: own, isUp: true, outages: 0, life: 0, turn: 0 });
    }
  }
  for (let i = 0; i < decodeInstances; i++) {
    const own = newLink();
    for (let e = 0; e < decode.enginesPerInstance; e++) {
      const cache = aggregated ? newCache() : undefined;
      decodeEngines.push({ cache, assigned: 0, waiting: [], batch: [], ends: Infinity, link: own, isUp: true, outages: 0, life: 0, turn: 0 });
    }
  }
  // who has the least to do; of equals who was given nothing for longest
  const first = <T extends Engine>(engines: T[], load: (engine: T) => number): T | undefined => (
    engines.filter(({ isUp }) => isUp).sort((a, b) => load(a) - load(b) || a.turn - b.turn)[0]);
  let turn = 0;
  // who is to write, and which of its lives that was
  const writers = new Map<ReferenceRequest, { engine: DecodeEngine; life: number }>();
  const writerOf = (request: ReferenceRequest) => {
    const { engine, life } = writers.get(request)!;
    return engine.life === life ? engine : undefined;
  };
  const turns = failures.flatMap(({ pool, instance, atSeconds, untilSeconds }) => {
    const engines = pool === 'prefill' ? prefillEngines : decodeEngines;
    const each = (pool === 'prefill' ? prefill! : decode).enginesPerInstance;
    const own = engines.slice(instance * each, (instance + 1) * each);
    return own.flatMap((engine) => [
      { at: atSeconds, engine, isUp: false }, ...(untilSeconds === undefined ? [] : [{ at: untilSeconds, engine, isUp: true }]),
    ]);
  }).sort((a, b) => a.at - b.at);

  // constant delays on the way, as lists in order of time
  const entering: [number, ReferenceRequest][] = [];
  const settingUp: [number, ReferenceRequest, number, PrefillEngine, number][] = [];
  // transfers of layers while prompts are read, and requests by how much of that and the reading is left
  const starting: [number, ReferenceRequest, PrefillEngine, number][] = [];
  const parts = new Map<ReferenceRequest, number>();
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
  const begin = (request: ReferenceRequest, from: PrefillEngine, fromLife: number, left: number, isLast: boolean, now: number) => {
    const l = atPrefill ? from.link : writers.get(request)!.engine.link;
    moveTo(l, now);
    l.flows.push({ request, from, fromLife, left, isLast });
  };
  const nextFlow = (l: Link) => l.flows.reduce((least, flow) => Math.min(least, l.at + flow.left * flowRate / rate(l)), Infinity);

  const finish = (engine: DecodeEngine, request: ReferenceRequest, now: number) => {
    request.finish = now;
    engine.cache?.release(request);
    engine.assigned--;
    if (clients > 0) {
      send(now);
    }
  };
  const fits = (engine: DecodeEngine, request: ReferenceRequest) => engine.batch.length < decode.maxSequences
    && (engine.cache === undefined ? engine.batch.reduce((sum, r) => sum + heldBytes(r), heldBytes(request)) <= decode.kvMemoryBytes
      : engine.cache.fits(request, request.inputTokens, request.inputTokens + request.outputTokens));
  const nextStep = (engine: DecodeEngine, now: number) => {
    while (engine.waiting.length > 0 && fits(engine, engine.waiting[0])) {
      const request = engine.waiting.shift()!;
      if (aggregated || readHere.has(request)) {
        engine.reading = request;
        if (engine.cache !== undefined) {
          readInto(engine.cache, request, request.inputTokens + request.outputTokens);
        }
        engine.ends = now + readSeconds(request, true);
        return;
      }
      engine.batch.push(request);
    }
    engine.ends = engine.batch.length > 0 ? now + stepSeconds(engine.batch) : Infinity;
  };
  const deliver = (engine: DecodeEngine, request: ReferenceRequest, now: number) => {
    inOrder(engine.waiting, request);
    if (engine.ends === Infinity) {
      nextStep(engine, now);
    }
  };

  const fail = (request: ReferenceRequest, now: number) => {
    request.failed = true;
    request.finish = now;
    if (clients > 0) {
      send(now);
    }
  };
  // nobody knows before what a prompt will find
  const newTokens = (queue: ReferenceRequest[]) => queue.reduce((sum, r) => sum + r.inputTokens - (blocks === undefined ? r.cachedTokens : 0), 0);
  const readsAlone = (pair: PrefillEngine, one: DecodeEngine, request: ReferenceRequest) => {
    if (routing === undefined) {
      return false;
    }
    const toRead = [...(one.reading === undefined ? [] : [one.reading]), ...one.waiting.filter((r) => readHere.has(r))];
    const state = (queuedPromptTokens: number) => ({ isUp: true, freeSlots: Infinity, queuedPromptTokens, sequences: one.assigned });
    return decide(
      { promptTokens: newTokens([request]), isEligible: true, tier: SERVICE_TIERS[request.rank] },
      {
        disaggregated: state(newTokens(pair.queue)),
        aggregated: state(newTokens(toRead)),
        bedrock: { isUp: false, freeSlots: 0, queuedPromptTokens: 0, sequences: 0 },
      },
      routing.policy,
    ).path !== 'disaggregated';
  };
  const toReadHere = (engine: DecodeEngine, request: ReferenceRequest, now: number) => {
    if (decode.wafers !== undefined) {
      engine.assigned--;
      fail(request, now);
      return;
    }
    readHere.add(request);
    request.cachedTokens = blocks === undefined ? request.cachedTokens : 0;
    deliver(engine, request, now);
  };

  const readNext = (engine: PrefillEngine, now: number) => {
    const { queue: [next], cache } = engine;
    if (next === undefined || cache?.fits(next, next.inputTokens, next.inputTokens) === false) {
      engine.ends = Infinity;
      return;
    }
    if (cache !== undefined) {
      readInto(cache, next, next.inputTokens);
    }
    engine.ends = now + readSeconds(next);
    parts.set(next, 1);
    if (link!.overlapLayers > 1) {
      parts.set(next, 2);
      starting.push([now + readSeconds(next) / link!.overlapLayers, next, engine, engine.life]);
      starting.sort(([a], [b]) => a - b);
    }
  };
  const give = (request: ReferenceRequest, now: number) => {
    const engine = first(decodeEngines, (e) => e.assigned);
    if (engine === undefined) {
      fail(request, now);
      return;
    }
    const pair = first(prefillEngines, (e) => newTokens(e.queue));
    const handsOff = pair !== undefined && !readsAlone(pair, engine, request);
    engine.assigned++;
    engine.turn = ++turn;
    writers.set(request, { engine, life: engine.life });
    if (!handsOff) {
      toReadHere(engine, request, now);
      return;
    }
    pair.turn = ++turn;
    if (pair.ends === Infinity) {
      inOrder(pair.queue, request);
      readNext(pair, now);
    } else {
      // who is read stays
      const rest = pair.queue.slice(1);
      inOrder(rest, request);
      pair.queue.splice(1, Infinity, ...rest);
    }
  };
  const letGo = (engine: PrefillEngine, life: number, request: ReferenceRequest, now: number) => {
    if (engine.life === life) {
      engine.cache?.release(request);
      if (engine.ends === Infinity) {
        readNext(engine, now);
      }
    }
  };

  const wholeSeconds = (request: ReferenceRequest) => kvBytes(model, request.inputTokens) * copies / flowRate;
  const partDone = (request: ReferenceRequest, from: PrefillEngine, fromLife: number, now: number) => {
    parts.set(request, parts.get(request)! - 1);
    if (parts.get(request)! > 0) {
      return;
    }
    if (writerOf(request) === undefined) {
      letGo(from, fromLife, request, now);
      give(request, now);
      return;
    }
    settingUp.push([now + setUpSeconds(request), request, wholeSeconds(request) / link!.overlapLayers, from, fromLife]);
    settingUp.sort(([a], [b]) => a - b);
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
    const isOver = entering.length + starting.length + settingUp.length === 0
      && [...prefillEngines, ...decodeEngines].every(({ ends }) => ends === Infinity)
      && links.every(({ flows }) => flows.length === 0);
    consider(turns.length > 0 && !isOver ? turns[0].at : Infinity, () => {
      const { engine, isUp } = turns.shift()!;
      engine.outages += isUp ? -1 : 1;
      const fails = engine.isUp && !isUp;
      engine.isUp = engine.outages === 0;
      if (fails) {
        engine.life++;
        engine.ends = Infinity;
        engine.cache = engine.cache && newCache();
        if ('queue' in engine) {
          // what was being read moves no longer
          starting.splice(0, Infinity, ...starting.filter(([, , from]) => from !== engine));
          if (parts.get(engine.queue[0]) === 2) {
            for (const l of links) {
              moveTo(l, now);
              l.flows = l.flows.filter(({ request }) => request !== engine.queue[0]);
            }
          }
          for (const request of engine.queue.splice(0)) {
            const writer = writerOf(request);
            if (writer === undefined) {
              give(request, now);
            } else {
              toReadHere(writer, request, now);
            }
          }
        } else {
          const lost = [...(engine.reading === undefined ? [] : [engine.reading]), ...engine.batch, ...engine.waiting];
          Object.assign(engine, { reading: undefined, batch: [], waiting: [], assigned: 0 });
          lost.forEach((request) => fail(request, now));
        }
      }
    });
    consider(entering.length > 0 ? entering[0][0] : Infinity, () => {
      const [, request] = entering.shift()!;
      give(request, now);
    });
    prefillEngines.forEach((engine) => consider(engine.ends, () => {
      const request = engine.queue.shift()!;
      readNext(engine, now);
      partDone(request, engine, engine.life, now);
    }));
    consider(starting.length > 0 ? starting[0][0] : Infinity, () => {
      const [, request, from, fromLife] = starting.shift()!;
      begin(request, from, fromLife, wholeSeconds(request) * (1 - 1 / link!.overlapLayers), false, now);
    });
    consider(settingUp.length > 0 ? settingUp[0][0] : Infinity, () => {
      const [, request, left, from, fromLife] = settingUp.shift()!;
      begin(request, from, fromLife, left, true, now);
    });
    links.forEach((l) => consider(nextFlow(l), () => {
      moveTo(l, now);
      const ended = l.flows.reduce((best, flow) => (flow.left < best.left ? flow : best));
      l.flows.splice(l.flows.indexOf(ended), 1);
      const { request, from, fromLife } = ended;
      if (!ended.isLast) {
        partDone(request, from, fromLife, now);
        return;
      }
      letGo(from, fromLife, request, now);
      const writer = writerOf(request);
      if (writer === undefined) {
        fail(request, now);
      } else if (fromLife === from.life) {
        deliver(writer, request, now);
      } else {
        toReadHere(writer, request, now);
      }
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
          request.firstToken = request.written === 0 ? now : request.firstToken;
          request.written += pace;
        }
      }
      const isDone = (r: ReferenceRequest) => r.written >= r.outputTokens - 1e-9;
      const done = engine.batch.filter(isDone);
      engine.batch = engine.batch.filter((r) => !isDone(r));
      // of those that end together who came first leaves first
      done.sort((a, b) => requests.indexOf(a) - requests.indexOf(b)).forEach((request) => finish(engine, request, now));
      nextStep(engine, now);
    }));
    if (now === Infinity) {
      return;
    }
    act();
  }
}
