/** A test, by its file and by its name, which begins with those of the groups around it. */
interface Shown {
  readonly file: string;
  readonly test: string;
}

/** Something that goes wrong. */
export interface Fault {
  readonly fault: string;
  /** What it is to the caller. */
  readonly caller: string;
  readonly shownBy: readonly Shown[];
}

const by = (folder: string) => (file: string, test: string): Shown => ({ file: `test/${folder}/${file}.test.ts`, test });
const runtime = by('router/runtime');
const engines = by('engines');

/** What goes wrong with engines, callers, connections and clocks. */
export const FAULTS: readonly Fault[] = [
  {
    fault: 'a prefill engine dies before its leg, or between the legs',
    caller: 'the right answer: the decode engine reads the prompt itself',
    shownBy: [engines('router', 'a prefill engine that dies before its KV cache is fetched, or was dead before, costs no answer')],
  },
  {
    fault: 'a prefill engine dies during its leg',
    caller: 'the right answer: the decode engine reads the prompt itself',
    shownBy: [runtime('execution/standstill', 'a prefill engine whose process is killed while it reads a prompt costs no answer, stream %p')],
  },
  {
    fault: 'a decode engine dies during its leg',
    caller: 'an error: an exception in the stream (`ModelStreamErrorException`), 502 where nothing was sent yet',
    shownBy: [
      engines('router', 'a decode engine that dies while it answers: the caller is told, and never that the answer is whole'),
      runtime('execution/forwarding', 'an answer that is not a stream that dies in the middle never looks whole'),
    ],
  },
  {
    fault: 'prefill answers without parameters, or with others than its own',
    caller: 'the right answer, and no engine dies of it',
    shownBy: [
      engines('router', 'a prefill engine that tells of %s costs neither the answer nor an engine'),
      runtime('handoff/handoff', 'the decode engine reads the prompt itself if the parameters are %s'),
    ],
  },
  {
    fault: 'decode rejects the hand-off',
    caller: 'the right answer, as the prompt is read once more; what fails again is told, and nobody is asked a third time',
    shownBy: [
      engines('router', 'a prefill engine that tells of %s costs neither the answer nor an engine'),
      runtime('handoff/handoff', 'a failure of the transfer before the first token has the decode engine read the prompt, stream %p'),
      runtime('handoff/handoff', 'a failure of the decode engine to read the prompt as well is told, and nobody is asked a third time, stream %p'),
      runtime('handoff/mooncake', 'the decode engine reads the prompt itself where it %s at first'),
      runtime('handoff/sglang', 'a decode engine %s is asked once more, in another room, and the prefill engine told'),
    ],
  },
  {
    fault: 'an engine lies: it is well by its probes and fails, or answers with something that is no answer',
    caller: 'another engine\'s answer when it asks again; 502 or an exception, never something that looks whole',
    shownBy: [
      runtime('execution/failing-engines', 'an engine that fails every request, though it is well by its probes, is left for an engine of another target, which the log tells'),
      runtime('execution/forwarding', 'an answer that is not a stream with status 200 that is no completion is 502: %p'),
    ],
  },
  {
    fault: 'an engine has too much to do, as it says (429, 503)',
    caller: 'the answer of another that has room, from a KV cache of its own; the refusal where none has',
    shownBy: [
      runtime('execution/busy-engines', 'a request that an engine has no room for is answered by one that has: status %d, stream %p'),
      runtime('execution/busy-engines', 'a hand-off to engines that have no room is made anew with another decode engine, which gets a KV cache of its own: status %d, stream %p'),
    ],
  },
  {
    fault: 'sockets are half open: an engine\'s host has vanished, a caller has ended its sending side',
    caller: '502 once the engine answers no probe; who only ended its sending side has what the router answers itself',
    shownBy: [
      runtime('execution/standstill', 'requests that an engine has answered nothing to are given up once %s, handed off or not, streams and others'),
      runtime('serving/half-closed', 'a caller of HTTP/1.1 over %s that ends its sending side has left where an engine is to answer, at once: %s'),
    ],
  },
  {
    fault: 'an engine\'s process is paused',
    caller: 'the answer of an engine that is not, or 502 where this one had the request',
    shownBy: [
      engines('router', 'a prefill engine that stands still is not waited for'),
      runtime('execution/standstill', 'requests that an engine has answered nothing to are given up once %s, handed off or not, streams and others'),
    ],
  },
  {
    fault: 'the router\'s process is paused',
    caller: 'all of its answer: what was said meanwhile counts as said',
    shownBy: [
      runtime('process', 'a router that was paused does not take for silent what has spoken meanwhile, nor a caller for stalled'),
      runtime('process', 'a router that was paused reads what has come of a body meanwhile'),
    ],
  },
  {
    fault: 'the clock is set a day forth, or back',
    caller: 'all of its answer',
    shownBy: [
      runtime('process-faults', 'a clock that is set a day forth or back ends no request, be it answered, asked for or waiting'),
      runtime('targets/targets', 'a target one of whose engines fails requests in a row passes over that engine, whatever clock is set'),
    ],
  },
  {
    fault: 'a caller reads slowly',
    caller: 'all of its answer, while the engine writes no faster',
    shownBy: [runtime('process-faults', 'a caller that reads slowly has all of its answer, for longer than one that reads nothing is waited for, and the engine writes no faster')],
  },
  {
    fault: 'a caller stalls in the middle of its request, or sends it too slowly',
    caller: '408, `RequestTimeoutException` at Bedrock\'s API, and the end of its connection, or of its stream over HTTP/2',
    shownBy: [
      runtime('serving/slow-bodies', 'over HTTP/1.1 a body %s that does not come is 408 to callers of OpenAI\'s API, and the connection ends'),
      runtime('serving/slow-bodies', 'over HTTP/2 a body that does not come is 408 at %s, and its stream ends, while the connection goes on'),
    ],
  },
  {
    fault: 'a caller reads no more: it is paused, dies, or has let go of its iterator',
    caller: 'nothing; its engine is free for others within `writeStallSeconds`',
    shownBy: [
      runtime('process-faults', 'a caller whose process %s in the middle of its answer frees its engine'),
      runtime('wire/bedrock', 'an iterator over HTTP/2 that is left does not hold its engine for ever'),
      engines('router', 'a caller that leaves frees both engines in the middle of the answer'),
      engines('router', 'a caller that leaves frees both engines as soon as the KV cache is handed on'),
    ],
  },
  {
    fault: '10,000 streams are aborted',
    caller: 'nothing; no slot, connection or request is left behind, and others are answered at once',
    shownBy: [
      runtime('process-faults', '10,000 streams that are aborted once they have begun leave no slot, connection or request behind'),
      runtime('serving/cancelled-streams', '10,000 requests that are cancelled as soon as they are sent leave nothing behind'),
    ],
  },
  {
    fault: 'the configuration is reloaded under load',
    caller: 'its answer, from the engines there were or those there are',
    shownBy: [
      runtime('reload', 'no request fails while targets, limits and routing change under load, and a target that is removed gets no more'),
      runtime('reload', 'a stream of a target that is removed ends whole, though others follow'),
    ],
  },
  {
    fault: 'the router is told to stop',
    caller: 'its answer, or an error if the drain ends before it',
    shownBy: [
      runtime('process', 'a router that is told to stop loses no request: running streams end whole, new ones are served until the listener closes, then it exits with 0'),
      runtime('process', 'a router that is told to stop breaks off what is unfinished at the end of the drain, so that no caller takes it for whole'),
    ],
  },
];
