/**
 * What the router withstands: `npx tsx --tsconfig benchmark/tsconfig.json benchmark/router-fuzz.ts [inputs] [seed]`.
 *
 * Changed requests of every operation, raw bytes and frames of HTTP/2 are sent to the router as it ships, over a pair of engines that answer as they should.
 * The engines are in the process that asks: where it gets no time for seconds they count as down, which is told as a finding too (503).
 * It fails with what it finds: a crash, an answer that is not documented, something that hangs, stays or is held on to, an engine that is asked what it should not be.
 */
import { performance } from 'node:perf_hooks';
import { fuzz } from '../test/router/runtime/fuzz/fuzzer';

async function main(): Promise<void> {
  const [inputs = 100_000, seed = 1] = process.argv.slice(2).map(Number);
  const start = performance.now();
  let told = 0;
  const { findings, ...report } = await fuzz(inputs, seed, (done) => {
    if (done - told >= 50_000) {
      told = done;
      console.error(`${done} inputs after ${Math.round((performance.now() - start) / 1000)} s`);
    }
  });
  console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - start) / 1000) }, undefined, 2));
  console.log(`${findings.length} findings`);
  findings.slice(0, 20).forEach((finding) => console.log(`- ${finding}`));
  process.exitCode = findings.length === 0 ? 0 : 1;
}

void main();
