import { kvBytes } from '../phases/shapes';
import { Service } from '../service';

/** Whether engines take a request of these lengths and have KV memory for it. */
export function canServe({ spec, resolved: { plant } }: Service, inputTokens: number, outputTokens: number): boolean {
  const { model, prefill, decode } = plant;
  const longest = (limit: number | undefined) => limit ?? model.maxContextTokens;
  const blocks = Math.ceil((inputTokens + outputTokens) / decode.kvBlockTokens);
  return inputTokens + outputTokens <= longest(spec.decode.maxSequenceTokens)
    && kvBytes(model, blocks * decode.kvBlockTokens) * decode.kvCopies <= decode.kvMemoryBytes
    && (prefill === undefined || (inputTokens + 1 <= longest(spec.prefill!.maxSequenceTokens)
      && kvBytes(model, inputTokens) * prefill.engine.kvCopies <= prefill.kvMemoryBytes));
}
