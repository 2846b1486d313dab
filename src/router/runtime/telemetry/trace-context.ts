import { IncomingHttpHeaders } from 'node:http';

/** By W3C Trace Context. Later versions than the first, 00, may have more; the last flag says whether the trace is kept. */
const TRACEPARENT = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/;
/** What vendors say of a trace: as long as all have to pass on, and with as many members as there may be. */
const TRACESTATE = /^[\t\x20-\x7e]{1,512}$/;
const MAX_MEMBERS = 32;

/** The span that a request is a part of. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly isKept: boolean;
  /** What makes others' spans parts of it. */
  readonly headers: { readonly traceparent: string; readonly tracestate?: string };
}

/** The caller's span; undefined where its headers are not there, or are none, of which nothing is passed on. Of a state that is too long, nothing is either. */
export function traceContextOf({ traceparent, tracestate }: IncomingHttpHeaders): TraceContext | undefined {
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(String(traceparent)) ?? [];
  if (traceId === undefined || (version === '00' && more !== undefined)) {
    return undefined;
  }
  const state = String(tracestate ?? '');
  const isSound = TRACESTATE.test(state) && state.split(',').length <= MAX_MEMBERS;
  return {
    traceId,
    spanId,
    isKept: parseInt(flags, 16) % 2 === 1,
    headers: { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(isSound && { tracestate: state }) },
  };
}
