import { describe, expect, it } from '@jest/globals';
import {
  historyFromJson,
  HistoryRecorder,
  historyToJson,
  type History,
  type HistoryCall,
  type HistoryOperation,
  type HistoryResult,
} from '../../../client/history.ts';
import { judge } from '../../../client/verdict.ts';

const get: HistoryCall = { kind: 'get' };
const exchange = (newValue: bigint): HistoryCall => ({ kind: 'exchange', newValue });
const cas = (expectedValue: bigint, newValue: bigint): HistoryCall => ({
  kind: 'compareExchange',
  expectedValue,
  newValue,
});
const saw = (oldValue: bigint, exchanged = true): HistoryResult => ({
  outcome: 'ok',
  oldValue,
  exchanged,
});
const ambiguous: HistoryResult = { outcome: 'ambiguous' };
const failed: HistoryResult = { outcome: 'failed' };

/** One row: from, to, call, result. */
type Row = readonly [number, number, HistoryCall, HistoryResult];

function historyOf(rows: readonly Row[]): History {
  const operations = rows.map(([invokedAt, returnedAt, call, result], process) => ({
    process,
    key: 1n,
    call,
    invokedAt,
    returnedAt,
    result,
  }));
  return { initialValues: new Map(), operations };
}

const GOOD: [string, Row[]][] = [
  ['an empty history', []],
  ['a read of the initial value', [[0, 1, get, saw(0n)]]],
  [
    'a read of a finished write',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, get, saw(5n)],
    ],
  ],
  [
    'a read beside a write that sees the old value',
    [
      [0, 9, exchange(5n), saw(0n)],
      [1, 2, get, saw(0n)],
    ],
  ],
  [
    'a read beside a write that sees the new value',
    [
      [0, 9, exchange(5n), saw(0n)],
      [1, 2, get, saw(5n)],
    ],
  ],
  [
    'touching intervals, which count as concurrent',
    [
      [0, 2, exchange(5n), saw(0n)],
      [2, 3, get, saw(0n)],
    ],
  ],
  [
    'a refused compare-exchange',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, cas(4n, 6n), saw(5n, false)],
    ],
  ],
  [
    'an ambiguous write that took effect',
    [
      [0, 1, exchange(5n), ambiguous],
      [2, 3, get, saw(5n)],
    ],
  ],
  [
    'an ambiguous write that took effect late',
    [
      [0, 1, exchange(5n), ambiguous],
      [2, 3, get, saw(0n)],
      [4, 5, get, saw(5n)],
    ],
  ],
  [
    'an ambiguous write that did not take effect',
    [
      [0, 1, exchange(5n), ambiguous],
      [2, 3, get, saw(0n)],
    ],
  ],
  [
    'a chain of ambiguous compare-exchanges',
    [
      [0, 1, cas(0n, 1n), ambiguous],
      [0, 1, cas(1n, 2n), ambiguous],
      [2, 3, get, saw(2n)],
    ],
  ],
  [
    'two ambiguous writes of one value that are both seen',
    [
      [0, 1, exchange(5n), ambiguous],
      [0, 1, exchange(5n), ambiguous],
      [2, 3, exchange(7n), saw(5n)],
      [4, 5, get, saw(7n)],
      [6, 7, get, saw(5n)],
    ],
  ],
  [
    'a failed write, which nobody sees',
    [
      [0, 1, exchange(5n), failed],
      [2, 3, get, saw(0n)],
    ],
  ],
  [
    'an ambiguous read',
    [
      [0, 1, get, ambiguous],
      [2, 3, get, saw(0n)],
    ],
  ],
  [
    'a value that comes back',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, exchange(0n), saw(5n)],
      [4, 5, get, saw(0n)],
    ],
  ],
  [
    'concurrent writes whose order a later read decides',
    [
      [0, 9, exchange(1n), saw(2n)],
      [0, 9, exchange(2n), saw(0n)],
      [10, 11, get, saw(1n)],
    ],
  ],
];

const BAD: [string, string, Row[]][] = [
  [
    'a stale read',
    'notLinearizable',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, get, saw(0n)],
    ],
  ],
  [
    'a lost update',
    'lostUpdate',
    [
      [0, 1, cas(0n, 1n), saw(0n)],
      [2, 3, cas(0n, 2n), saw(0n)],
    ],
  ],
  [
    'an acknowledged write that vanishes',
    'notLinearizable',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, get, saw(5n)],
      [4, 5, get, saw(0n)],
    ],
  ],
  ['an invented value', 'inventedValue', [[0, 1, get, saw(9n)]]],
  [
    'a value seen before its write began',
    'inventedValue',
    [
      [0, 1, get, saw(5n)],
      [2, 3, exchange(5n), saw(0n)],
    ],
  ],
  [
    'a failed write that is seen',
    'inventedValue',
    [
      [0, 1, exchange(5n), failed],
      [2, 3, get, saw(5n)],
    ],
  ],
  [
    'an ambiguous write that takes effect twice',
    'notLinearizable',
    [
      [0, 1, exchange(5n), ambiguous],
      [2, 3, exchange(7n), saw(5n)],
      [4, 5, get, saw(7n)],
      [6, 7, get, saw(5n)],
    ],
  ],
  [
    'an acknowledged write that is executed twice',
    'notLinearizable',
    [
      [0, 1, exchange(5n), saw(0n)],
      [2, 3, exchange(7n), saw(5n)],
      [4, 5, get, saw(5n)],
    ],
  ],
  [
    'an ambiguous compare-exchange from a value that never was',
    'notLinearizable',
    [
      [0, 1, cas(3n, 4n), ambiguous],
      [2, 3, get, saw(4n)],
    ],
  ],
  [
    'reads that go back and forth beside one write',
    'notLinearizable',
    [
      [0, 9, exchange(5n), saw(0n)],
      [1, 2, get, saw(5n)],
      [3, 4, get, saw(0n)],
    ],
  ],
  [
    'two clients that both win one compare-exchange',
    'lostUpdate',
    [
      [0, 5, cas(0n, 1n), saw(0n)],
      [0, 5, cas(0n, 2n), saw(0n)],
    ],
  ],
  [
    'a compare-exchange that succeeds on another value',
    'wrongAnswer',
    [
      [0, 1, exchange(4n), saw(0n)],
      [2, 3, cas(3n, 5n), saw(4n)],
    ],
  ],
  [
    'a compare-exchange refused although it matched',
    'wrongAnswer',
    [[0, 1, cas(0n, 5n), saw(0n, false)]],
  ],
];

describe('judge', () => {
  it.each(GOOD)('accepts %s', (_, rows) => {
    expect(judge(historyOf(rows))).toMatchObject({ ok: true, violations: [], undecided: [] });
  });

  it.each(BAD)('refuses %s', (_, rule, rows) => {
    const verdict = judge(historyOf(rows));
    expect(verdict.ok).toBe(false);
    expect(verdict.violations.map((violation) => violation.rule)).toEqual([rule]);
  });

  it('judges each register by itself and starts from its initial value', () => {
    const operations = historyOf([[0, 1, get, saw(7n)]]).operations;
    expect(judge({ initialValues: new Map([[1n, 7n]]), operations }).ok).toBe(true);
    const other = operations.map((operation) => ({ ...operation, key: 2n }));
    const verdict = judge({ initialValues: new Map([[1n, 7n]]), operations: other });
    expect(verdict.violations.map(({ key }) => key)).toEqual([2n]);
  });

  it('says so when the search is given up', () => {
    const verdict = judge(historyOf(GOOD.at(-1)?.[1] ?? []), { stepsMax: 1 });
    expect(verdict).toMatchObject({ ok: false, undecided: [1n], violations: [] });
  });

  it('agrees with trying every order, on many small random histories', () => {
    let good = 0;
    for (let seed = 1; seed <= 3_000; seed++) {
      const history = randomHistory(seed);
      const expected = someOrderExplains(history.operations);
      expect({ seed, ok: judge(history).ok }).toEqual({ seed, ok: expected });
      good += Number(expected);
    }
    // Both verdicts must be well represented, or the comparison shows nothing.
    expect(good).toBeGreaterThan(500);
    expect(good).toBeLessThan(2_500);
  });

  it('decides long histories of counters with ambiguous increments', () => {
    const history = counterHistory({ operations: 100_000, clients: 8, seed: 5 });
    expect(judge(history)).toMatchObject({ ok: true, operations: 100_000 });
    const last = history.operations.findLast(({ result }) => result.outcome === 'ok');
    const stale = { ...history, operations: [...history.operations, ...staleReadAfter(last)] };
    expect(judge(stale).violations.map(({ rule }) => rule)).toEqual(['notLinearizable']);
  });
});

describe('HistoryRecorder', () => {
  it('keeps the order of events even if the clock stands still', () => {
    const recorder = new HistoryRecorder(() => 5);
    const first = recorder.invoke(0, 1n, exchange(4n));
    recorder.return(first, saw(0n));
    recorder.return(recorder.invoke(0, 1n, get), saw(0n));
    expect(judge(recorder.history()).ok).toBe(false);
  });

  it('counts calls that never returned as ambiguous', () => {
    const recorder = new HistoryRecorder();
    recorder.invoke(0, 1n, exchange(4n));
    recorder.return(recorder.invoke(1, 1n, get), saw(4n));
    expect(judge(recorder.history())).toMatchObject({ ok: true, ambiguous: 1 });
  });

  it('survives the way through JSON', () => {
    const recorder = new HistoryRecorder();
    recorder.startsWith(-(2n ** 63n), 2n ** 63n - 1n);
    recorder.return(recorder.invoke(3, 1n, cas(-1n, 2n)), saw(4n, false));
    recorder.return(recorder.invoke(3, 1n, exchange(2n)), ambiguous);
    recorder.return(recorder.invoke(3, 2n, get), failed);
    const history = recorder.history();
    expect(historyFromJson(historyToJson(history))).toEqual(history);
  });

  it.each([
    ['{}', 'version 1'],
    ['{"version":1,"initialValues":[],"operations":[{}]}', 'operations[0].process'],
    ['{"version":1,"initialValues":[["x","1"]],"operations":[]}', '64-bit integer'],
  ])('names what is wrong with %s', (text, message) => {
    expect(() => historyFromJson(text)).toThrow(message);
  });
});

/** A small deterministic generator (mulberry32). */
function randomOf(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

function randomHistory(seed: number): History {
  const random = randomOf(seed);
  const value = (): bigint => BigInt(random(3));
  const rows: Row[] = Array.from({ length: 2 + random(5) }, () => {
    const from = random(8);
    const call = [get, exchange(value()), cas(value(), value())][random(3)] ?? get;
    if (random(4) === 0) return [from, from + 1 + random(6), call, ambiguous];
    const old = value();
    const exchanged = call.kind !== 'compareExchange' || call.expectedValue === old;
    return [from, from + 1 + random(6), call, saw(old, exchanged)];
  });
  return historyOf(rows);
}

/** The definition, word by word: some order, some choice of ambiguous writes. */
function someOrderExplains(operations: readonly HistoryOperation[], value = 0n): boolean {
  const answered = operations.filter(({ result }) => result.outcome === 'ok');
  if (answered.length === 0) return true;
  return operations.some((first) => {
    const others = operations.filter((other) => other !== first);
    const precedes = (other: HistoryOperation): boolean =>
      other.result.outcome === 'ok' && other.returnedAt < first.invokedAt;
    if (others.some(precedes)) return false;
    const { call, result } = first;
    if (result.outcome === 'ok' && result.oldValue !== value) return false;
    const changes =
      call.kind === 'exchange' || (call.kind === 'compareExchange' && call.expectedValue === value);
    const next = changes ? call.newValue : value;
    return someOrderExplains(others, next);
  });
}

/** Clients that count one register up, each reading first; one in fifty increments is ambiguous. */
function counterHistory(options: { operations: number; clients: number; seed: number }): History {
  const random = randomOf(options.seed);
  const operations: HistoryOperation[] = [];
  let value = 0n;
  for (let at = 0; at < options.operations; at++) {
    const lost = random(50) === 0;
    const call = random(3) === 0 ? get : cas(value, value + 1n);
    const invokedAt = at - random(options.clients);
    const returnedAt = at + 0.5 + random(options.clients);
    const result = lost ? ambiguous : saw(value);
    operations.push({
      process: at % options.clients,
      key: 1n,
      call,
      invokedAt,
      returnedAt,
      result,
    });
    if (call.kind !== 'get' && (!lost || random(2) === 0)) value += 1n;
  }
  return { initialValues: new Map(), operations };
}

function staleReadAfter(last: HistoryOperation | undefined): HistoryOperation[] {
  if (last === undefined) return [];
  const result = saw(0n);
  return [{ ...last, call: get, invokedAt: 1e9, returnedAt: 1e9 + 1, result }];
}
