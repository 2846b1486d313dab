import { Row, cell } from './measurement-columns';
import { ToldProblems } from '../problems';

type Json = { readonly [name: string]: any };

/**
 * The requests of an experiment in `profile_export.json` of genai-perf, which has each chunk of an answer with its time in nanoseconds.
 *
 * How many tokens there were is known where the engine was asked to say so: that is in the last chunk.
 *
 * @param place where the experiment is.
 */
export function genaiPerfRows(experiment: unknown, place: string, problems: ToldProblems): Row[] {
  const { requests } = Object(experiment) as Json;
  if (!Array.isArray(requests)) {
    problems.add({ rule: 'MeasurementsIncomplete', path: place, message: 'the experiment has no requests', mend: 'give profile_export.json as genai-perf writes it' });
    return [];
  }
  return requests.map(Object).flatMap((request: Json, i): Row[] => {
    const events = (Array.isArray(request.response_outputs) ? request.response_outputs : []).map((output) => eventsOf(Object(output).response));
    const written = events.flatMap((chunk, at) => chunk.some(isText) ? [request.response_timestamps?.[at]] : []);
    const usage = events.flat().map((event) => event.usage).filter(Boolean).at(-1);
    if (usage === undefined) {
      problems.add({
        rule: 'MeasurementsIncomplete',
        path: `${place} request ${i + 1}`,
        message: 'the answer does not tell how many tokens were read and written',
        mend: 'ask with stream_options {"include_usage": true}, or give profile_export_genai_perf.json in its place',
      });
      return [];
    }
    const since = (name: string, at: unknown) => cell(name, (Number(at) - Number(request.timestamp)) / 1e9);
    return [{
      place: `${place} request ${i + 1}`,
      run: place,
      traits: {},
      cells: {
        arrival: cell('timestamp', request.timestamp, 1e-9),
        inputTokens: cell('usage.prompt_tokens', usage.prompt_tokens ?? null),
        outputTokens: cell('usage.completion_tokens', usage.completion_tokens ?? null),
        ttft: since('first of response_timestamps', written[0]),
        endToEnd: since('last of response_timestamps', written.at(-1)),
      },
    }];
  });
}

/** The events of a chunk, each an object; what is none is left out, as `data: [DONE]` is. */
function eventsOf(chunk: unknown): Json[] {
  return String(chunk).split(/\n+/).flatMap((line) => {
    try {
      return [Object(JSON.parse(line.replace(/^data: ?/, ''))) as Json];
    } catch {
      return [];
    }
  });
}

function isText({ choices }: Json): boolean {
  const { text, delta } = Object(choices?.[0]) as Json;
  return [text, delta?.content, delta?.reasoning_content].some((one) => typeof one === 'string' && one !== '');
}
