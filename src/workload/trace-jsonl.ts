import { JsonSyntaxError, parseJson } from '../json-text';
import { MAX_SPAN_SECONDS, PREFIX_BLOCK_TOKENS as BLOCK_TOKENS } from './limits';
import { TraceProblems } from './trace-problems';
import { TraceRequest } from './trace-request';

/**
 * Reads the requests of a Mooncake trace, in the order of the file.
 */
export function parseJsonlTrace(text: string, problems: TraceProblems): TraceRequest[] {
  const requests: TraceRequest[] = [];
  const numbers = new Map<unknown, number>();
  let first: number | undefined;
  let latest = -Infinity;
  text.split('\n').forEach((row, index) => {
    if (row.trim() === '') {
      return;
    }
    const line = index + 1;
    const record = parseRecord(row, line, problems);
    if (record === undefined) {
      return;
    }

    const at = (name: string) => Math.max(1, row.indexOf(JSON.stringify(name)) + 1);
    const { timestamp, hash_ids: ids = [] } = record;
    if (typeof timestamp !== 'number') {
      problems.add('TraceTimestampInvalid', line, at('timestamp'), timestamp, 'timestamp is not a number', 'give the arrival in milliseconds');
    } else if (timestamp < latest) {
      problems.add('TraceOutOfOrder', line, at('timestamp'), timestamp, 'the request arrives before an earlier row', 'sort the trace by timestamp');
    } else if (timestamp - (first ?? timestamp) > MAX_SPAN_SECONDS * 1000) {
      problems.addSpan(timestamp, line, at('timestamp'));
    } else {
      latest = timestamp;
      first ??= timestamp;
    }
    const length = (name: string) => {
      const tokens = typeof record[name] === 'number' ? record[name] : NaN;
      problems.checkLength(name, record[name], tokens, line, at(name));
      return tokens;
    };
    const inputTokens = length('input_length');
    const outputTokens = length('output_length');

    // one block more or less is a matter of rounding, anything else another block size.
    if (!Array.isArray(ids) || (ids.length > 0 && Math.abs(ids.length - Math.ceil(inputTokens / BLOCK_TOKENS)) > 1)) {
      problems.add('TraceBlocksMismatch', line, at('hash_ids'), ids, `hash_ids has not one id for each ${BLOCK_TOKENS} tokens of input_length`,
        `hash the prompt in blocks of ${BLOCK_TOKENS} tokens, or leave hash_ids out`);
      return;
    }
    const firstMiss = ids.findIndex((id) => !numbers.has(id));
    const hits = firstMiss < 0 ? ids.length : firstMiss;
    const prefixIds = ids.map((id) => {
      const known = numbers.get(id) ?? numbers.size;
      numbers.set(id, known);
      return known;
    });
    requests.push({
      line,
      arrivalSeconds: (latest - (first ?? latest)) / 1000,
      inputTokens,
      // the last token is always computed: its logits give the first output token.
      cachedInputTokens: Math.min(hits * BLOCK_TOKENS, inputTokens - 1),
      ...(prefixIds.length > 0 && { prefixIds }),
      outputTokens,
    });
  });
  return requests;
}

function parseRecord(row: string, line: number, problems: TraceProblems): { [name: string]: unknown } | undefined {
  try {
    const record = parseJson(row);
    if (typeof record === 'object' && record !== null && !Array.isArray(record)) {
      return record as { [name: string]: unknown };
    }
    problems.add('TraceRowNotAnObject', line, 1, record, 'the row is not a JSON object', 'give one object with timestamp, input_length and output_length a line');
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) {
      throw error;
    }
    problems.add('TraceRowNotJson', line, error.column, row, `the row is not JSON: ${error.message}`, 'give one JSON object a line');
  }
  return undefined;
}
