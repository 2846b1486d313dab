import { SERVICE_TIERS } from '../../routing';
import { fill } from '../calibration/calibration';
import { Coefficients } from '../phases/coefficients';
import { decodeStepSeconds } from '../phases/decode';
import { linkRates, narrowerEnd, postingSeconds } from '../phases/kv-transfer';
import { kvTokens } from '../phases/memory';
import { kvSeconds } from '../phases/mixed';
import { paddedTokens, promptSeconds } from '../phases/prefill';
import { EngineShape, ModelShape, kvBytes, kvReadBytes } from '../phases/shapes';
import { speculativeStepSeconds, tokensPerStep } from '../phases/speculation';
import { PromptPool, promptPool } from '../plant';
import { Service } from '../service';
import { MixedEngineLimits } from './mixed-engine';
import { Prefixes } from './prefixes';
import { RequestLengths } from './request-lengths';

/** Most sequences that step times are tabulated for. */
const LARGEST_BATCH = 131_072;

/**
 * A fleet as the event simulation sees it: counts, rates, and what a request of each kind takes; the same step times as the closed form's.
 */
export interface FleetTables {
  readonly aggregated: boolean;
  /** Kinds of requests; row `kind` of their tables is of a prompt that a prefill engine reads, or of the only row if aggregated. */
  readonly kindCount: number;
  /** Whether decode engines can read prompts; where there are prefill engines too, row `kindCount + kind` is of such a prompt. */
  readonly readsHere: boolean;
  /** Ranks that waiting requests have. */
  readonly ranks: number;
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
  /** Share of a KV cache that may move while its prompt is read: all layers but the last, or none. */
  readonly movesWhileReading: number;
  /** What every request takes besides, at the gateway. */
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
  /** What engines have of prompts that begin alike; undefined where what is cached of each kind is given. */
  readonly caching?: PrefixCaching;
  /** How engines read prompts in the steps that write tokens; undefined where they read a prompt whole, between steps. */
  readonly chunked?: ChunkedPrefill;
}

/** KV caches in which prompts find what others have left: prefill engines', or aggregated ones'. Blocks count in all layers, also in windowed ones. */
export interface PrefixCaching {
  readonly prefixes: Prefixes;
  /** Blocks of an engine, no more than all requests together take. */
  readonly blocks: number;
  /** How the router chooses by what engines have read; undefined where it gives a request to the engine with the fewest. */
  readonly prefixLoadFactor?: number;
  /** Seconds to read a prompt of a kind, so many tokens of which are there. */
  promptSeconds(kind: number, cachedTokens: number): number;
}

/** What engines are that read prompts in the steps that write tokens. */
export interface ChunkedPrefill {
  readonly model: ModelShape;
  readonly engine: EngineShape;
  readonly coefficients: Coefficients;
  readonly limits: MixedEngineLimits;
}

/** What a request takes, a row for each kind, or two. */
export interface KindTables {
  readonly inputTokens: Float64Array;
  readonly cachedTokens: Float64Array;
  /** Tokens of the prompt that are not cached. */
  readonly newTokens: Float64Array;
  /** The lowest is first wherever requests wait. */
  readonly ranks: Uint8Array;
  /** 1 if the decode engine reads the prompt. */
  readonly readsHere: Uint8Array;
  readonly outputTokens: Float64Array;
  readonly promptSeconds: Float64Array;
  /** From reading the prompt to the begin of the transfer. */
  readonly setUpSeconds: Float64Array;
  /** Of the whole transfer alone on its link. */
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
  /** By row; -1 where it does not happen during decode. */
  readonly steps: Float64Array;
  readonly growthBytes: number;
  readonly excessBytes: Float64Array;
}

/**
 * Looks up a fleet at these counts.
 *
 * @param kinds lengths that occur.
 * @param requests most requests that can be there at once.
 * @param eitherReads whether some prompts may be read by decode engines though there are prefill engines, or fail to be read.
 * @param prefixLoadFactor of the router, where it chooses engines by the prompts that they have read.
 */
export function fleetTables(
  service: Service, prefillInstances: number, decodeInstances: number, kinds: RequestLengths, requests: number, eitherReads: boolean,
  prefixLoadFactor?: number,
): FleetTables {
  const { resolved, form, aggregated } = service;
  const { model, prefill, link, decode, classes } = resolved.plant;
  const promptSet = fill(new Coefficients(), (resolved.prefill ?? resolved.decode).set);
  const tokenSet = fill(new Coefficients(), resolved.decode.set);
  const wafer = decode.wafers !== undefined;
  const { inputTokens, outputTokens, cachedTokens } = kinds;
  const kindCount = inputTokens.length;
  const alike = kinds.ranks.every((rank) => rank === kinds.ranks[0]);
  const twice = eitherReads && !aggregated && !wafer;
  const readsHere = Uint8Array.from({ length: twice ? 2 * kindCount : kindCount }, (_, row) => aggregated || row >= kindCount ? 1 : 0);
  const column = (value: (kind: number, here: number) => number) => Float64Array.from(readsHere, (here, row) => value(row % kindCount, here));
  // each pool pads to its own lengths; of one pool, and of the first of two, the classes tell the longest
  const buckets = [resolved.prefill?.promptBuckets ?? [], resolved.decode.promptBuckets];
  const segments = [classes.segmentTokens, aggregated ? classes.segmentTokens : buckets[1][buckets[1].length - 1] ?? Infinity];
  const secondsToRead = (kind: number, here: number, cached: number) => promptSeconds(
    model, (here ? decode.engine : prefill?.engine)!, here ? tokenSet : promptSet,
    paddedTokens(inputTokens[kind] - cached, buckets[here]), cached, segments[here]);
  const prompt = column((i, here) => secondsToRead(i, here, cachedTokens[i]));

  const prefillEngines = prefill === undefined ? 0 : prefillInstances * prefill.enginesPerInstance;
  const rates = link && linkRates(link, promptSet, tokenSet, prefill!, decode);
  const narrower = rates && narrowerEnd(rates, prefillInstances, decodeInstances);
  const linksAtPrefill = narrower?.isPrefill ?? true;
  const flowsAtFullSpeed = narrower === undefined ? 1 : narrower.bytesPerSecond / rates!.flow;
  // where a prompt is read, its first token is written
  const { speculation } = decode;
  const pace = speculation === undefined ? 1 : tokensPerStep(speculation);
  const drafting = speculation === undefined ? 0 : speculation.draftTokens * speculation.draftStepShare;
  // a hair less, so that a sum of whole paces is not one too many
  const steps = column((i, here) => Math.ceil((outputTokens[i] - here) / pace - 1e-9));
  const start = column((i, here) => inputTokens[i] + here);
  const end = start.map((tokens, row) => tokens + steps[row] * pace);
  const layerKinds = [
    { bytes: model.kvBytesPerTokenFull, most: model.attendedTokens },
    { bytes: model.kvBytesPerTokenWindowed, most: model.windowAttendedTokens },
  ].filter(({ bytes }) => bytes > 0 && !wafer);
  const growth = (tokens: number) => layerKinds.reduce((sum, { bytes, most }) => sum + (tokens < most ? bytes * pace : 0), 0);
  const { kvBlockTokens } = decode;
  const whole = (tokens: number) => Math.ceil(tokens / kvBlockTokens) * kvBlockTokens;
  const finalKv = column((i) => kvBytes(model, whole(inputTokens[i] + outputTokens[i])) * decode.kvCopies);
  const least = finalKv.reduce((a, b) => Math.min(a, b), Infinity);
  // sequences that share blocks are more than their sizes tell
  const held = least > 0 && kinds.prefixes === undefined ? Math.max(1, Math.floor(decode.kvMemoryBytes / least)) : Infinity;
  const slots = Math.min(decode.maxSequences, requests, LARGEST_BATCH, held);
  const posted = link?.blockTokens;
  const movesWhileReading = 1 - 1 / (link?.overlapLayers ?? 1);
  const reader = aggregated ? 1 : 0;
  return {
    aggregated,
    kindCount,
    readsHere: aggregated || twice,
    ranks: alike ? 1 : SERVICE_TIERS.length,
    chunked: decode.stepTokens === undefined ? undefined : {
      model,
      engine: decode.engine,
      coefficients: tokenSet,
      limits: {
        sequences: decode.maxSequences,
        stepTokens: decode.stepTokens,
        kvTokens: kvTokens(model, decode.kvMemoryBytes / decode.kvCopies),
        blockTokens: kvBlockTokens,
      },
    },
    caching: kinds.prefixes && {
      prefixes: new Prefixes(kinds.prefixes, inputTokens, (prefill ?? decode).kvBlockTokens),
      blocks: blocksOf(model, promptPool(resolved.plant), aggregated ? inputTokens.map((tokens, kind) => tokens + outputTokens[kind]) : inputTokens),
      prefixLoadFactor,
      promptSeconds: (kind, cached) => secondsToRead(kind, reader, cached),
    },
    prefillEngines,
    decodeEngines: decodeInstances * decode.enginesPerInstance,
    links: narrower?.links ?? 0,
    linksAtPrefill,
    enginesPerLink: linksAtPrefill ? prefill?.enginesPerInstance ?? 1 : decode.enginesPerInstance,
    flowsAtFullSpeed,
    movesWhileReading,
    overheadSeconds: promptSet.gatewaySeconds,
    slots,
    kvMemoryBytes: decode.kvMemoryBytes,
    stepSeconds: Float64Array.from({ length: slots + 1 }, (_, batch) =>
      batch === 0 ? 0 : wafer ? form.stepSeconds(batch)
        : speculation === undefined ? decodeStepSeconds(model, decode.engine, tokenSet, batch, 0)
          : speculativeStepSeconds(model, decode.engine, tokenSet, batch, 0, speculation)),
    // drafting reads the cache too
    secondsPerKvByte: wafer ? 0 : kvSeconds(decode.engine, tokenSet, 1) * (1 + drafting),
    kinds: {
      inputTokens,
      cachedTokens,
      outputTokens,
      newTokens: column((i) => inputTokens[i] - cachedTokens[i]),
      ranks: readsHere.map((_, row) => alike ? 0 : kinds.ranks[row % kindCount]),
      readsHere,
      promptSeconds: prompt,
      setUpSeconds: column((i, here) => here ? 0 : posted === undefined ? promptSet.linkBaseSeconds
        : postingSeconds(model.kvTensors, inputTokens[i], posted, promptSet.linkDescriptorSeconds)),
      transferSeconds: column((i, isHere) => rates === undefined || isHere ? 0 : kvBytes(model, inputTokens[i]) * decode.kvCopies / rates.flow),
      kvBytes: finalKv,
      steps,
      firstReadBytes: start.map((tokens) => kvReadBytes(model, tokens)),
      lastReadBytes: end.map((tokens) => kvReadBytes(model, tokens)),
      firstGrowthBytes: start.map(growth),
      lastGrowthBytes: end.map(growth),
      bends: layerKinds.filter(({ most }) => start.some((tokens, row) => tokens < most && most <= end[row])).map(({ bytes, most }) => {
        const bend = start.map((tokens, row) => tokens < most && most <= end[row] ? Math.ceil((most - tokens) / pace) : -1);
        return { steps: bend, growthBytes: bytes * pace, excessBytes: bend.map((count, row) => bytes * (start[row] + count * pace - most)) };
      }),
    },
  };
}

/** Blocks of an engine's KV cache, no more than sequences of these lengths take all together. */
function blocksOf(model: ModelShape, { engine, kvMemoryBytes, kvBlockTokens }: PromptPool, lengths: Float64Array): number {
  const wanted = lengths.reduce((sum, tokens) => sum + Math.ceil(tokens / kvBlockTokens), 0);
  return Math.min(wanted, Math.floor(kvTokens(model, kvMemoryBytes / engine.kvCopies) / kvBlockTokens));
}
