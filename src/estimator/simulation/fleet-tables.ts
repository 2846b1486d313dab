import { fill } from '../calibration/calibration';
import { Coefficients } from '../phases/coefficients';
import { decodeKvSeconds, decodeStepSeconds } from '../phases/decode';
import { kvTransferSeconds } from '../phases/kv-transfer';
import { promptSeconds } from '../phases/prefill';
import { EngineShape, ModelShape, kvBytes, kvReadBytes } from '../phases/shapes';
import { Service } from '../service';
import { MixedEngineLimits } from './mixed-engine';
import { RequestLengths } from './request-lengths';

/** Most sequences that step times are tabulated for. */
const LARGEST_BATCH = 131_072;

/**
 * A fleet as the event simulation sees it: counts, rates, and what a request of each kind takes; the same step times as the closed form's.
 */
export interface FleetTables {
  readonly aggregated: boolean;
  /** Engines that read prompts; 0 if aggregated. */
  readonly prefillEngines: number;
  readonly decodeEngines: number;
  /** Network interfaces at the narrower end of the way from prefill to decode; 0 if aggregated. */
  readonly links: number;
  /** Whether the narrower end is the prefill instance; else it is the decode instance. */
  readonly linksAtPrefill: boolean;
  /** Engines behind one link. */
  readonly enginesPerLink: number;
  /** Transfers that one link carries before they slow each other down, at least 1. */
  readonly flowsAtFullSpeed: number;
  /** What every request takes besides: gateway, and set-up of the transfer. */
  readonly overheadSeconds: number;
  /** Sequences that one engine decodes at once at most. */
  readonly slots: number;
  /** KV memory of one engine, in bytes. */
  readonly kvMemoryBytes: number;
  /** Seconds of a decode step by its number of sequences, without reading the KV cache. */
  readonly stepSeconds: Float64Array;
  /** Seconds to read a byte of KV cache, counted in one copy. */
  readonly secondsPerKvByte: number;
  readonly kinds: KindTables;
  /** How engines read prompts in the steps that write tokens; undefined where they read a prompt whole, between steps. */
  readonly chunked?: ChunkedPrefill;
}

/** What engines are that read prompts in the steps that write tokens. */
export interface ChunkedPrefill {
  readonly model: ModelShape;
  readonly engine: EngineShape;
  readonly coefficients: Coefficients;
  readonly limits: MixedEngineLimits;
}

/** What a request takes, by kind. */
export interface KindTables {
  readonly inputTokens: Float64Array;
  readonly cachedTokens: Float64Array;
  readonly outputTokens: Float64Array;
  readonly promptSeconds: Float64Array;
  /** Of the transfer alone on its link. */
  readonly transferSeconds: Float64Array;
  /** KV cache at the last token, all copies. */
  readonly kvBytes: Float64Array;
  /** Decode steps: in aggregated serving reading the prompt writes the first token. */
  readonly steps: Float64Array;
  /** KV bytes that the first step reads, and that a step after the last one would read. */
  readonly firstReadBytes: Float64Array;
  readonly lastReadBytes: Float64Array;
  /** What each further step reads more, at first and in the end. */
  readonly firstGrowthBytes: Float64Array;
  readonly lastGrowthBytes: Float64Array;
  readonly bends: Bend[];
}

/**
 * Where a layer kind attends to no more tokens than before: after `steps` steps a sequence's growth falls by `growthBytes`, and `excessBytes` are taken off.
 */
export interface Bend {
  /** By kind of request; -1 where it does not happen during decode. */
  readonly steps: Float64Array;
  readonly growthBytes: number;
  readonly excessBytes: Float64Array;
}

/**
 * Looks up a fleet at these counts.
 *
 * @param kinds lengths that occur.
 * @param requests most requests that can be there at once.
 */
export function fleetTables(
  service: Service, prefillInstances: number, decodeInstances: number, kinds: RequestLengths, requests: number,
): FleetTables {
  const { resolved, form, aggregated } = service;
  const { model, prefill, link, decode } = resolved.plant;
  const promptSet = fill(new Coefficients(), (resolved.prefill ?? resolved.decode).set);
  const tokenSet = fill(new Coefficients(), resolved.decode.set);
  const wafer = decode.wafers !== undefined;
  const { inputTokens, outputTokens, cachedTokens, paddedTokens } = kinds;
  const column = (value: (kind: number) => number) => Float64Array.from(inputTokens, (_, kind) => value(kind));
  const prompt = column((i) =>
    promptSeconds(model, (prefill ?? decode).engine, promptSet, paddedTokens[i], cachedTokens[i], resolved.plant.classes.segmentTokens));

  const prefillEngines = prefill === undefined ? 0 : prefillInstances * prefill.enginesPerInstance;
  let flow = Infinity;
  let links = 0;
  let linksAtPrefill = true;
  let flowsAtFullSpeed = 1;
  if (link !== undefined) {
    const fromPrefill = link.prefillBytesPerSecond * (link.measured ? 1 : promptSet.linkUtilisation);
    const intoDecode = link.decodeBytesPerSecond * (wafer ? tokenSet.waferIngestUtilisation : tokenSet.linkUtilisation);
    // as in the closed form: one engine sends over its share of the interfaces, and a decode engine takes over its own
    flow = Math.min(link.measured ? fromPrefill : fromPrefill / prefill!.enginesPerInstance, intoDecode / decode.enginesPerInstance);
    linksAtPrefill = prefillInstances * fromPrefill <= decodeInstances * intoDecode;
    links = linksAtPrefill ? prefillInstances : decodeInstances;
    flowsAtFullSpeed = (linksAtPrefill ? fromPrefill : intoDecode) / flow;
  }
  const already = aggregated ? 1 : 0;
  const steps = column((i) => outputTokens[i] - already);
  const start = (i: number) => inputTokens[i] + already;
  const end = (i: number) => start(i) + steps[i];
  const layerKinds = [
    { bytes: model.kvBytesPerTokenFull, most: model.attendedTokens },
    { bytes: model.kvBytesPerTokenWindowed, most: model.windowAttendedTokens },
  ].filter(({ bytes }) => bytes > 0 && !wafer);
  const growth = (tokens: number) => layerKinds.reduce((sum, { bytes, most }) => sum + (tokens < most ? bytes : 0), 0);
  const finalKv = column((i) => kvBytes(model, inputTokens[i] + outputTokens[i]) * decode.engine.kvCopies);
  const least = finalKv.reduce((a, b) => Math.min(a, b), Infinity);
  const slots = Math.min(decode.maxSequences, requests, LARGEST_BATCH, Math.max(1, least > 0 ? Math.floor(decode.kvMemoryBytes / least) : Infinity));
  return {
    aggregated,
    chunked: decode.stepTokens === undefined ? undefined : {
      model,
      engine: decode.engine,
      coefficients: tokenSet,
      limits: {
        sequences: decode.maxSequences,
        stepTokens: decode.stepTokens,
        kvTokens: decode.kvMemoryBytes / decode.engine.kvCopies / (model.kvBytesPerTokenFull + model.kvBytesPerTokenWindowed),
      },
    },
    prefillEngines,
    decodeEngines: decodeInstances * decode.enginesPerInstance,
    links,
    linksAtPrefill,
    enginesPerLink: linksAtPrefill ? prefill?.enginesPerInstance ?? 1 : decode.enginesPerInstance,
    flowsAtFullSpeed,
    overheadSeconds: promptSet.gatewaySeconds + (aggregated ? 0 : promptSet.linkBaseSeconds),
    slots,
    kvMemoryBytes: decode.kvMemoryBytes,
    stepSeconds: Float64Array.from({ length: slots + 1 }, (_, batch) =>
      batch === 0 ? 0 : wafer ? form.stepSeconds(batch) : decodeStepSeconds(model, decode.engine, tokenSet, batch, 0)),
    secondsPerKvByte: wafer ? 0 : decodeKvSeconds(decode.engine, tokenSet, 1, 1),
    kinds: {
      inputTokens,
      cachedTokens,
      outputTokens,
      promptSeconds: prompt,
      transferSeconds: column((i) => link === undefined ? 0
        : kvTransferSeconds(kvBytes(model, inputTokens[i]) * decode.engine.kvCopies, flow, 0, 0, link.overlapLayers, prompt[i])),
      kvBytes: finalKv,
      steps,
      firstReadBytes: column((i) => kvReadBytes(model, start(i))),
      lastReadBytes: column((i) => kvReadBytes(model, end(i))),
      firstGrowthBytes: column((i) => growth(start(i))),
      lastGrowthBytes: column((i) => growth(end(i))),
      bends: layerKinds.filter(({ most }) => inputTokens.some((_, i) => start(i) < most && most <= end(i))).map(({ bytes, most }) => {
        const bend = column((i) => start(i) < most && most <= end(i) ? Math.ceil(most - start(i)) : -1);
        return { steps: bend, growthBytes: bytes, excessBytes: bend.map((count, i) => bytes * (start(i) + count - most)) };
      }),
    },
  };
}
