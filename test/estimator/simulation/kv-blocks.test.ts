import * as fc from 'fast-check';
import { ReferenceBlocks, idsOf } from './blocks-reference';
import { KvBlocks } from '../../../src/estimator/simulation/kv-blocks';
import { Prefixes } from '../../../src/estimator/simulation/prefixes';

const prompts = fc.array(fc.record({
  inputTokens: fc.oneof(fc.integer({ min: 1, max: 6000 }), fc.integer({ min: 1, max: 10 }).map((pieces) => 512 * pieces)),
  family: fc.integer({ min: 0, max: 2 }),
  shared: fc.integer({ min: 0, max: 12 }),
  output: fc.integer({ min: 0, max: 300 }),
}), { minLength: 1, maxLength: 40 });
const blockSizes = fc.constantFrom(16, 32, 100, 512, 600);
const idsOfAll = (list: readonly { inputTokens: number; family: number; shared: number }[]) => list.map(
  ({ inputTokens, family, shared }, i) => idsOf(inputTokens, family, shared, i));

test('blocks are found, taken and freed as a plain list of them has it', () => {
  let found = 0;
  let evicted = 0;
  const rooms = fc.double({ min: 1, max: 5, noNaN: true });
  fc.assert(fc.property(prompts, blockSizes, rooms, fc.infiniteStream(fc.nat(99)), (list, blockTokens, room, draws) => {
    const ids = idsOfAll(list);
    const all = list.map(({ inputTokens }, i) => ({ inputTokens, ids: ids[i] }));
    const count = Math.ceil(room * Math.max(...list.map(({ inputTokens, output }) => Math.ceil((inputTokens + output) / blockTokens))));
    const plain = new ReferenceBlocks(count, blockTokens);
    const kv = new KvBlocks(count, new Prefixes(ids, Float64Array.from(list, ({ inputTokens }) => inputTokens), blockTokens));
    const there = new Map<number, { blocks: number[]; read: number }>();
    const next = () => draws.next().value;
    const end = (kind: number) => {
      plain.release(all[kind]);
      kv.release(there.get(kind)!.blocks);
      there.delete(kind);
    };
    for (let kind = 0; kind < list.length; kind++) {
      const { inputTokens, output } = list[kind];
      while (!plain.fits(all[kind], inputTokens, inputTokens + output)) {
        expect(kv.demand(kind, inputTokens, inputTokens + output)).toBeGreaterThan(kv.free);
        const running = [...there.keys()];
        end(running[next() % running.length]);
      }
      const blocks: number[] = [];
      const read = kv.admit(kind, inputTokens, blocks);
      expect(read).toBe(plain.admit(all[kind], inputTokens));
      found += read;
      there.set(kind, { blocks, read });
      plain.grow(all[kind], inputTokens + output);
      kv.grow(inputTokens + output, blocks);
      // some read on, a part or all
      for (const [running, state] of there) {
        const to = Math.min(list[running].inputTokens, state.read + next() * 60);
        plain.write(all[running], state.read, to);
        kv.written(running, state.read, to, state.blocks);
        state.read = to;
      }
      expect([kv.free, kv.evicted]).toEqual([plain.freeCount, plain.evicted]);
    }
    evicted += kv.evicted;
  }), { numRuns: 500 });
  expect(found).toBeGreaterThan(1e6);
  expect(evicted).toBeGreaterThan(10_000);
});

// a prompt that ends with a block and is asked again has its last block read into another one, which is not found: there a smaller cache can be ahead
test('of requests one after another a larger cache finds no less of any, and an endless one all that an earlier one had', () => {
  const rooms = fc.double({ min: 1, max: 5, noNaN: true });
  fc.assert(fc.property(prompts, blockSizes, rooms, rooms, (drawn, blockTokens, room, more) => {
    const list = drawn.map((one) => ({ ...one, inputTokens: one.inputTokens + (one.inputTokens % blockTokens === 0 ? 1 : 0) }));
    const ids = idsOfAll(list);
    const prefixes = new Prefixes(ids, Float64Array.from(list, ({ inputTokens }) => inputTokens), blockTokens);
    const foundIn = (count: number) => {
      const kv = new KvBlocks(count, prefixes);
      return list.map(({ inputTokens, output }, kind) => {
        const blocks: number[] = [];
        const found = kv.admit(kind, inputTokens, blocks);
        kv.grow(inputTokens + output, blocks);
        kv.written(kind, found, inputTokens, blocks);
        kv.release(blocks);
        return found;
      });
    };
    const sizes = list.map(({ inputTokens, output }) => Math.ceil((inputTokens + output) / blockTokens));
    const small = Math.ceil(room * Math.max(...sizes));
    const [less, larger, endless] = [small, Math.ceil(small * more), sizes.reduce((sum, size) => sum + size, 0)].map(foundIn);
    const cache = new Set<number>();
    list.forEach(({ inputTokens }, i) => {
      expect(larger[i]).toBeGreaterThanOrEqual(less[i]);
      const miss = ids[i].findIndex((id) => !cache.has(id));
      const known = 512 * (miss < 0 ? ids[i].length : miss);
      expect(endless[i]).toBe(Math.floor(Math.min(known, inputTokens - 1) / blockTokens) * blockTokens);
      ids[i].forEach((id) => cache.add(id));
    });
  }), { numRuns: 500 });
});
