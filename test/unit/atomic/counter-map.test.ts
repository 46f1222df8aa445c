import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CounterMap, type FrozenCounters } from '../../../server/atomic/counter-map.ts';
import { INT64_MAX, INT64_MIN, fromHalves } from '../../../server/atomic/int64.ts';

const int64 = fc.oneof(
  fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
  fc.bigInt({ min: -20n, max: 20n }),
  fc.constantFrom(INT64_MIN, INT64_MAX, 0n, -1n, 2n ** 32n, -(2n ** 32n), 2n ** 31n),
);

function contents(frozen: FrozenCounters): [bigint, bigint][] {
  const pairs: [bigint, bigint][] = [];
  for (const chunk of frozen.chunks) {
    for (const slot of chunk.sortedSlots()) {
      const [idLow = 0, idHigh = 0, low = 0, high = 0] = chunk.words.subarray(slot * 4);
      pairs.push([fromHalves(idLow, idHigh), fromHalves(low, high)]);
    }
  }
  return pairs;
}

const sorted = (pairs: Iterable<readonly [bigint, bigint]>): string[] =>
  [...pairs].map(([id, value]) => `${id}=${value}`).sort();

/** Far apart ids, in the order of a shuffle by `seed`. */
function manyIds(count: number, seed: bigint): bigint[] {
  const ids = Array.from({ length: count }, (_, at) => BigInt.asIntN(64, BigInt(at) * seed));
  return ids.sort((a, b) => Number(BigInt.asUintN(20, a * 7n) - BigInt.asUintN(20, b * 7n)));
}

describe('CounterMap', () => {
  it('answers as a map of bigints', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(int64, int64), { maxLength: 60 }), (writes) => {
        const map = new CounterMap();
        const model = new Map<bigint, bigint>();
        for (const [id, value] of writes) {
          expect(map.get(id)).toBe(model.get(id));
          map.set(id, value);
          model.set(id, value);
        }
        expect(map.size).toBe(model.size);
        for (const [id, value] of model) expect(map.get(id)).toBe(value);
      }),
    );
  });

  it('keeps an id present when 0 is stored for it', () => {
    const map = new CounterMap();
    expect(map.get(7n)).toBeUndefined();
    map.set(7n, 0n);
    expect(map.get(7n)).toBe(0n);
    expect(map.size).toBe(1);
  });

  it('holds everything while chunks split, whatever the initial capacity', () => {
    const ids = manyIds(30_000, 0x9e3779b97f4a7c15n);
    for (const capacity of [0, 1, 5_000, 100_000]) {
      const map = new CounterMap(capacity);
      for (const id of ids) map.set(id, id ^ 5n);
      expect(map.size).toBe(ids.length);
      expect(ids.filter((id) => map.get(id) !== (id ^ 5n))).toEqual([]);
    }
  });

  it('freezes its contents while it grows and changes', () => {
    const plan = fc.record({
      before: fc.nat(6_000),
      after: fc.nat(6_000),
      freezes: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(plan, ({ before, after, freezes }) => {
        const map = new CounterMap();
        const model = new Map<bigint, bigint>();
        const kept: { frozen: FrozenCounters; expected: string[] }[] = [];
        for (let round = 0; round < freezes; round++) {
          const count = round === 0 ? before : after;
          for (const id of manyIds(count, BigInt(round + 3) * 0x1234567891n)) {
            map.set(id, BigInt(round));
            model.set(id, BigInt(round));
          }
          kept.push({ frozen: map.freeze(), expected: sorted(model) });
          map.set(1n, 99n);
          model.set(1n, 99n);
        }
        kept.shift()?.frozen.release();
        for (const id of [...model.keys()]) map.set(id, -1n);
        for (const { frozen, expected } of kept) expect(sorted(contents(frozen))).toEqual(expected);
      }),
      { numRuns: 6 },
    );
  });

  it('orders its contents and hashes them independently of history', () => {
    const ids = manyIds(9_000, 0x2545f4914f6cdd1dn);
    const first = new CounterMap();
    for (const id of ids) first.set(id, id);
    const second = new CounterMap(50_000);
    for (const id of [...ids].reverse()) second.set(id, 1n);
    for (const id of ids) second.set(id, id);
    expect(contents(second.freeze())).toEqual(contents(first.freeze()));
    expect(second.hash.value()).toBe(first.hash.value());
  });

  it('has another hash for every other content', () => {
    const map = new CounterMap();
    const seen = new Set([map.hash.value()]);
    const steps: [bigint, bigint][] = [
      [1n, 0n],
      [0n, 1n],
      [1n, 1n],
      [1n, 2n ** 32n],
      [-1n, 0n],
    ];
    for (const [id, value] of steps) {
      map.set(id, value);
      seen.add(map.hash.value());
    }
    expect(seen.size).toBe(6);
  });

  it('hashes as before when a value returns', () => {
    const map = new CounterMap();
    map.set(5n, 1n);
    const hash = map.hash.value();
    map.set(5n, INT64_MIN);
    map.set(5n, 1n);
    expect(map.hash.value()).toBe(hash);
  });
});
