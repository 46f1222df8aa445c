import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { entryBytes, type LogEntry } from '../../../../server/raft/core/entry.ts';
import { LogIndex, Term, type LogId } from '../../../../server/raft/core/ids.ts';
import { RaftLog } from '../../../../server/raft/core/log.ts';

const EMPTY = { firstIndex: LogIndex(1), lastIndex: LogIndex(0), termRuns: [], configurations: [] };

function idOf(index: number, term: number): LogId {
  return { index: LogIndex(index), term: Term(term) };
}

function entryOf(index: number, term: number, bytes = 0): LogEntry {
  return { kind: 'data', id: idOf(index, term), data: new Uint8Array(bytes) };
}

/** A log as a plain list: every entry ever kept, and how many of the first ones are gone. */
class NaiveLog {
  /** `terms[i]` is the term of entry `i`; entry 0 is the start of everything. */
  readonly terms: number[] = [0];
  first = 1;
  /** Entries below it may be missing from memory. */
  evicted = 1;

  last(): number {
    return this.terms.length - 1;
  }

  /** The entry before the first is known too. */
  termAt(index: number): number | undefined {
    return index === 0 || index >= this.first - 1 ? this.terms[index] : undefined;
  }

  hint(index: number, term: number): number {
    for (let at = Math.min(index, this.last()); at >= this.first - 1; at--) {
      const here = this.terms[at];
      if (here !== undefined && here <= term) return at;
    }
    return 0;
  }
}

type Operation =
  | { readonly type: 'append'; readonly count: number; readonly newTerms: number }
  | { readonly type: 'truncate' | 'compact' | 'evict'; readonly share: number }
  | { readonly type: 'reset'; readonly ahead: number };

const operations: fc.Arbitrary<readonly Operation[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        count: fc.integer({ min: 1, max: 6 }),
        newTerms: fc.nat(2),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constantFrom('truncate' as const, 'compact' as const, 'evict' as const),
        share: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      }),
    },
    fc.record({ type: fc.constant('reset' as const), ahead: fc.nat(9) }),
  ),
  { maxLength: 25 },
);

/** Does the same to both. Terms only rise over a whole run, as under Raft. */
function perform(log: RaftLog, naive: NaiveLog, operation: Operation, term: number): void {
  const { first } = naive;
  const last = naive.last();
  const at = (share: number): number => first + Math.floor(share * (last - first + 1));
  switch (operation.type) {
    case 'append': {
      const entries = Array.from({ length: operation.count }, (_, i) => {
        return entryOf(last + 1 + i, term, i);
      });
      log.append(entries);
      naive.terms.push(...entries.map(({ id }) => id.term));
      break;
    }
    case 'truncate': {
      const from = at(operation.share);
      if (from > last) break;
      log.truncateFrom(LogIndex(from));
      naive.terms.length = from;
      naive.evicted = Math.min(naive.evicted, from);
      break;
    }
    case 'compact': {
      const kept = Math.max(at(operation.share), first);
      log.compactTo(LogIndex(kept));
      naive.first = kept;
      naive.evicted = Math.max(naive.evicted, kept);
      break;
    }
    case 'evict': {
      const upTo = Math.min(at(operation.share), last);
      log.evict(LogIndex(upTo), 0);
      naive.evicted = Math.max(naive.evicted, upTo + 1);
      break;
    }
    case 'reset': {
      const boundary = idOf(first + operation.ahead, term);
      log.reset(boundary);
      while (naive.last() < boundary.index) naive.terms.push(term);
      naive.terms.length = boundary.index;
      naive.terms.push(term);
      naive.first = boundary.index + 1;
      naive.evicted = naive.first;
      break;
    }
  }
}

function expectSame(log: RaftLog, naive: NaiveLog): void {
  const last = naive.last();
  expect([log.firstIndex(), log.lastIndex()]).toEqual([naive.first, last]);
  expect(log.lastId()).toEqual(idOf(last, naive.terms[last] ?? -1));
  const topTerm = (naive.terms[last] ?? 0) + 1;
  const indexes = Array.from({ length: last + 3 }, (_, index) => LogIndex(index));
  const terms = Array.from({ length: topTerm + 1 }, (_, term) => Term(term));
  expect(indexes.map((index) => log.termAt(index))).toEqual(
    indexes.map((index) => naive.termAt(index)),
  );
  const pairs = indexes.flatMap((index) => terms.map((term) => ({ index, term })));
  expect(pairs.map((id) => log.holds(id))).toEqual(
    pairs.map(({ index, term }) => naive.termAt(index) === term),
  );
  expect(pairs.map(({ index, term }) => log.lastIdNotAbove(index, term).index)).toEqual(
    pairs.map(({ index, term }) => naive.hint(index, term)),
  );
}

function expectSameMemory(log: RaftLog, naive: NaiveLog): void {
  const last = naive.last();
  for (let from = naive.first; from <= last; from++) {
    const entries = log.slice(LogIndex(from), LogIndex(last));
    expect(entries !== undefined).toBe(from >= naive.evicted);
    expect(log.batchFrom(LogIndex(from), { to: LogIndex(last), bytesMax: 1e9 })).toEqual(entries);
    if (entries === undefined) continue;
    expect(entries.map(({ id }) => id)).toEqual(
      naive.terms.slice(from).map((term, offset) => idOf(from + offset, term)),
    );
  }
  expect(log.slice(LogIndex(naive.first), LogIndex(last + 1))).toBeUndefined();
}

describe('RaftLog', () => {
  it('behaves like a plain list under any appends, cuts, compactions, evictions and resets', () => {
    fc.assert(
      fc.property(operations, (plan) => {
        const log = new RaftLog(EMPTY, undefined);
        const naive = new NaiveLog();
        let term = 1;
        for (const operation of plan) {
          if (operation.type === 'append') term += operation.newTerms;
          perform(log, naive, operation, term);
          expectSame(log, naive);
          expectSameMemory(log, naive);
        }
      }),
    );
  });

  it('opens with the terms it was closed with, and nothing in memory', () => {
    const runs = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(runs, fc.integer({ min: 1, max: 9 }), (lengths, firstIndex) => {
        const terms = lengths.flatMap((length, run) => Array<number>(length).fill(2 * run + 1));
        const starts = lengths.map((_, run) =>
          lengths.slice(0, run).reduce((sum, length) => sum + length, firstIndex),
        );
        const termRuns = starts.map((first, run) => ({
          first: LogIndex(first),
          term: Term(2 * run + 1),
        }));
        const lastIndex = LogIndex(firstIndex + terms.length - 1);
        const recovered = { firstIndex: LogIndex(firstIndex), lastIndex, termRuns };
        const log = new RaftLog({ ...recovered, configurations: [] }, undefined);
        expect(terms.map((_, i) => log.termAt(LogIndex(firstIndex + i)))).toEqual(terms);
        expect(log.slice(LogIndex(firstIndex), lastIndex)).toBeUndefined();
        log.append([entryOf(lastIndex + 1, 99)]);
        expect(log.slice(LogIndex(lastIndex + 1), LogIndex(lastIndex + 1))).toHaveLength(1);
      }),
    );
  });

  it('knows the term before its first entry only from a snapshot that ends there', () => {
    const termRuns = [{ first: LogIndex(5), term: Term(3) }];
    const recovered = { ...EMPTY, firstIndex: LogIndex(5), lastIndex: LogIndex(9), termRuns };
    expect(new RaftLog(recovered, undefined).termAt(LogIndex(4))).toBeUndefined();
    expect(new RaftLog(recovered, idOf(7, 3)).termAt(LogIndex(4))).toBeUndefined();
    expect(new RaftLog(recovered, idOf(4, 2)).termAt(LogIndex(4))).toBe(2);
  });

  it('batchFrom gives as many entries as fit, at least one, and none beyond its end', () => {
    const sizes = fc.array(fc.nat(100), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, fc.nat(400), fc.nat(12), (bytes, bytesMax, end) => {
        const log = new RaftLog(EMPTY, undefined);
        const entries = bytes.map((size, i) => entryOf(i + 1, 1, size));
        log.append(entries);
        const to = LogIndex(Math.max(1, Math.min(end, entries.length)));
        const batch = log.batchFrom(LogIndex(1), { to, bytesMax }) ?? [];
        expect(batch).toEqual(entries.slice(0, batch.length));
        expect(batch.length).toBeGreaterThanOrEqual(1);
        expect(batch.length).toBeLessThanOrEqual(to);
        const total = (list: readonly LogEntry[]): number =>
          list.reduce((sum, entry) => sum + entryBytes(entry), 0);
        if (batch.length > 1) expect(total(batch)).toBeLessThanOrEqual(bytesMax);
        const more = entries.slice(0, batch.length + 1);
        if (batch.length < to) expect(total(more)).toBeGreaterThan(bytesMax);
      }),
    );
  });

  it('evict keeps what its caller still needs, and nothing while there is little', () => {
    const log = new RaftLog(EMPTY, undefined);
    log.append(Array.from({ length: 10 }, (_, i) => entryOf(i + 1, 1, 76)));
    const inMemory = (index: number): boolean =>
      log.slice(LogIndex(index), LogIndex(index)) !== undefined;
    log.evict(LogIndex(10), 500);
    expect(inMemory(1)).toBe(true);
    log.evict(LogIndex(3), 200);
    expect([inMemory(3), inMemory(4)]).toEqual([false, true]);
    log.evict(LogIndex(10), 200);
    expect([inMemory(8), inMemory(9), inMemory(10)]).toEqual([false, true, true]);
  });

  it.each([
    [
      'an entry that leaves a hole',
      (log: RaftLog) => {
        log.append([entryOf(5, 2)]);
      },
    ],
    [
      'an entry of a falling term',
      (log: RaftLog) => {
        log.append([entryOf(4, 1)]);
      },
    ],
    [
      'a cut behind the end',
      (log: RaftLog) => {
        log.truncateFrom(LogIndex(4));
      },
    ],
    [
      'a cut before the start',
      (log: RaftLog) => {
        log.truncateFrom(LogIndex(1));
      },
    ],
    [
      'a compaction beyond the end',
      (log: RaftLog) => {
        log.compactTo(LogIndex(6));
      },
    ],
  ])('takes %s for a program fault', (_, fault) => {
    const log = new RaftLog(EMPTY, undefined);
    log.append([entryOf(1, 2), entryOf(2, 2), entryOf(3, 2)]);
    log.compactTo(LogIndex(2));
    expect(() => {
      fault(log);
    }).toThrow(/does not follow|terms fall|outside the log|beyond the log/);
  });
});
