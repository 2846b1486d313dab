/** Requests that each client of a closed loop sends where nobody says how many: benchmarks of servers send ten for each of concurrency by custom. */
export const ROUNDS = 10;

/** Between requests that are sent at once, which pass the host one after the other: too short for one to be answered before millions are sent. */
export const HOST_SECONDS = 1e-12;

/**
 * Lengths that nobody drew vary by this share either way: requests of the same length would stay in step for ever, and hardly a loop of a real server does.
 * Measured waits for the first token grow by a few times from 4 to 128 clients, where those of clients in step would grow with their number.
 */
export const LEAST_VARIATION = 0.05;

/** Between which shares of the named lengths those are that nobody drew. */
export const NEARLY_ALIKE: readonly [number, number] = [1 - LEAST_VARIATION, 1 + LEAST_VARIATION];

/** Shares whose multiples' fractions fill a range evenly (Roberts's sequence): lengths are drawn by them. */
const INPUT_STRIDE = 0.7548776662466927;
const OUTPUT_STRIDE = 0.5698402909980532;

/** Lengths of a request, in tokens. */
interface Lengths {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/**
 * What a request of a closed loop has for the lengths that are named.
 *
 * @param index its number, from 0.
 * @param shares between which shares of the named ones its lengths are.
 */
export function loopLengths(named: Lengths, index: number, [least, most] = NEARLY_ALIKE): Lengths {
  const length = (tokens: number, stride: number) => Math.max(1, Math.round(tokens * (least + (most - least) * (index * stride % 1))));
  return { inputTokens: length(named.inputTokens, INPUT_STRIDE), outputTokens: length(named.outputTokens, OUTPUT_STRIDE) };
}
