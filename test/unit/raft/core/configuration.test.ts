import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  bindMembers,
  configurationOf,
  ConfigurationHistory,
  initialRecord,
  isBoundTo,
  isVoter,
  membersOf,
  votersChanged,
} from '../../../../server/raft/core/configuration.ts';
import { Incarnation, LogIndex, Term, type PeerId } from '../../../../server/raft/core/ids.ts';
import type { IndexedConfiguration } from '../../../../server/raft/core/membership.ts';
import { letterOf, peer } from '../../../support/core-cluster.ts';

const peersOf = (letters: string): ReadonlySet<PeerId> => new Set(letters.split('').map(peer));

/** A configuration at `index`, told apart by its fence. */
function at(index: number, fence = index, outgoing?: string): IndexedConfiguration {
  const configuration = {
    ...configurationOf(peersOf('abc')),
    ...(outgoing !== undefined && { outgoing: peersOf(outgoing) }),
  };
  return { ...initialRecord(new Set()), configuration, fence, index: LogIndex(index) };
}

type Operation =
  | { readonly type: 'append'; readonly gap: number; readonly joint: boolean }
  | { readonly type: 'truncate' | 'commit' | 'compact' | 'snapshot'; readonly share: number };

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const operations: fc.Arbitrary<readonly Operation[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        gap: fc.integer({ min: 1, max: 3 }),
        joint: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom(
          'truncate' as const,
          'commit' as const,
          'compact' as const,
          'snapshot' as const,
        ),
        share,
      }),
    },
  ),
  { maxLength: 30 },
);

/** Every configuration ever appended and not truncated, and how much of the log they stand in. */
class NaiveHistory {
  entries: IndexedConfiguration[] = [at(0)];
  lastIndex = 0;
  committed = 0;
  compacted = 0;

  at(index: number): IndexedConfiguration | undefined {
    return this.entries.findLast((entry) => entry.index <= index);
  }
}

function perform(history: ConfigurationHistory, naive: NaiveHistory, operation: Operation): void {
  const between = (low: number, high: number, part: number): number =>
    low + Math.floor(part * (high - low + 1));
  const { committed, compacted, lastIndex } = naive;
  switch (operation.type) {
    case 'append': {
      naive.lastIndex += operation.gap;
      const fence = naive.entries.length * 1_000 + naive.lastIndex;
      const entry = at(naive.lastIndex, fence, operation.joint ? 'abd' : undefined);
      history.append(entry, Term(1));
      naive.entries.push(entry);
      break;
    }
    case 'truncate': {
      const from = between(committed + 1, lastIndex, operation.share);
      if (from > lastIndex) break;
      const kept = naive.entries.filter(({ index }) => index < from);
      expect(history.truncateFrom(LogIndex(from))).toBe(kept.length < naive.entries.length);
      naive.entries = kept;
      naive.lastIndex = from - 1;
      break;
    }
    case 'commit':
      naive.committed = between(committed, lastIndex, operation.share);
      break;
    case 'compact':
      naive.compacted = between(compacted, committed, operation.share);
      history.compactTo(LogIndex(naive.compacted));
      break;
    case 'snapshot': {
      // As a follower gets one: it stands for more than this node knows to be committed.
      const index = between(committed, lastIndex, operation.share);
      const base = naive.at(index);
      if (base === undefined) break;
      history.restart(base, Term(1), LogIndex(index));
      naive.committed = index;
      naive.compacted = index;
      break;
    }
  }
}

function expectSame(history: ConfigurationHistory, naive: NaiveHistory): void {
  expect(history.latest()).toEqual(naive.entries.at(-1));
  for (let index = naive.compacted; index <= naive.lastIndex + 1; index++) {
    const inForce = naive.at(index);
    expect(history.at(LogIndex(index))).toEqual(inForce);
    const later = naive.entries.filter((entry) => entry.index > index);
    expect(history.since(LogIndex(index))).toEqual([inForce, ...later]);
  }
  const stable = naive.entries.findLast(
    ({ index, configuration }) => index <= naive.committed && configuration.outgoing === undefined,
  );
  // A stable one that was compacted away behind a joint one is not known any more.
  const known = stable !== undefined && stable.index >= history.at(LogIndex(naive.compacted)).index;
  if (known) expect(history.committedStable(LogIndex(naive.committed))).toEqual(stable);
}

describe('ConfigurationHistory', () => {
  it('knows the configuration in force after any appends, cuts, compactions and snapshots', () => {
    fc.assert(
      fc.property(operations, (plan) => {
        const history = new ConfigurationHistory(at(0), []);
        const naive = new NaiveHistory();
        for (const operation of plan) {
          perform(history, naive, operation);
          expectSame(history, naive);
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['kept in memory', new ConfigurationHistory(at(0), [at(2), at(5), at(6)])],
    ['opened above a snapshot', new ConfigurationHistory(at(2), [at(2), at(5), at(6)])],
  ])('a cut that takes two configurations goes back to the one before both: %s', (_, history) => {
    expect(history.truncateFrom(LogIndex(5))).toBe(true);
    expect(history.latest()).toEqual(at(2));
    expect(history.truncateFrom(LogIndex(3))).toBe(false);
  });

  it('what a snapshot covers is not taken from the log again', () => {
    const history = new ConfigurationHistory(at(5, 99), [at(2), at(5), at(6)]);
    expect(history.at(LogIndex(5)).fence).toBe(99);
    history.truncateFrom(LogIndex(6));
    expect(history.latest().fence).toBe(99);
  });

  describe('after reset_peers', () => {
    const reset = (): ConfigurationHistory => {
      const history = new ConfigurationHistory(at(0), [at(2), at(4)]);
      history.override(initialRecord(peersOf('z')), Term(5));
      return history;
    };
    const lettersOf = (history: ConfigurationHistory): string[] =>
      [...history.latest().configuration.voters].map(letterOf);

    it('the new peers are in force at the index of the newest entry', () => {
      const history = reset();
      expect(lettersOf(history)).toEqual(['z']);
      expect(history.latest().index).toBe(4);
      expect(history.since(LogIndex(0))).toEqual([history.latest()]);
    });

    it.each([
      [
        'an entry',
        (history: ConfigurationHistory) => {
          history.append(at(7), Term(5));
        },
      ],
      [
        'a snapshot',
        (history: ConfigurationHistory) => {
          history.restart(at(7), Term(5), LogIndex(7));
        },
      ],
    ])('%s of a leader replaces them', (_, replace) => {
      const history = reset();
      replace(history);
      expect(history.latest()).toEqual(at(7));
    });

    it('what the log brings of the history before the reset leaves them in force', () => {
      const history = reset();
      history.append(at(7), Term(4));
      history.restart(at(8), Term(4), LogIndex(8));
      expect(lettersOf(history)).toEqual(['z']);
      expect(history.latest().index).toBe(8);
    });

    it('they are in force again when the entry that replaced them is cut off', () => {
      const history = reset();
      history.append(at(7), Term(6));
      history.append(at(9), Term(6));
      history.truncateFrom(LogIndex(9));
      expect(history.latest()).toEqual(at(7));
      history.truncateFrom(LogIndex(7));
      expect(lettersOf(history)).toEqual(['z']);
    });

    it('they are gone when the reset is taken back', () => {
      const history = reset();
      expect(history.isOverridden()).toBe(true);
      history.endOverride();
      expect(history.isOverridden()).toBe(false);
      expect(history.latest()).toEqual(at(4));
    });

    it('neither a cut nor a compaction brings the old ones back', () => {
      const history = reset();
      history.truncateFrom(LogIndex(3));
      history.compactTo(LogIndex(2));
      expect(lettersOf(history)).toEqual(['z']);
      expect(history.latest().index).toBe(2);
    });
  });
});

describe('configurations', () => {
  const joint = {
    ...configurationOf(peersOf('abc')),
    outgoing: peersOf('cd'),
    learners: peersOf('l'),
  };

  it('members are the voters of both halves and the learners; learners do not vote', () => {
    expect([...membersOf(joint)].map(letterOf)).toEqual(['a', 'b', 'c', 'd', 'l']);
    expect('abcdlz'.split('').filter((letter) => isVoter(joint, peer(letter)))).toEqual([
      'a',
      'b',
      'c',
      'd',
    ]);
  });

  it.each([
    ['abc', 'abc', 0],
    ['abc', 'abcd', 1],
    ['abc', 'ab', 1],
    ['abc', 'abd', 2],
    ['abc', 'def', 6],
    ['', 'a', 1],
  ])('from %p to %p: %i voters differ', (before, after, count) => {
    expect(votersChanged(peersOf(before), peersOf(after))).toBe(count);
    expect(votersChanged(peersOf(after), peersOf(before))).toBe(count);
  });

  it('bindMembers never binds a member to another disk, and forgets who is no member', () => {
    const [first, second] = [Incarnation('first'), Incarnation('second')];
    const bound = {
      ...joint,
      incarnations: new Map([
        [peer('a'), first],
        [peer('z'), first],
      ]),
    };
    const { incarnations } = bindMembers(bound, (id) =>
      'abz'.includes(letterOf(id)) ? second : undefined,
    );
    expect([...incarnations]).toEqual([
      [peer('a'), first],
      [peer('b'), second],
    ]);
  });

  it('an unbound member counts with any disk, a bound one with its own', () => {
    const bound = { ...joint, incarnations: new Map([[peer('a'), Incarnation('own')]]) };
    expect(isBoundTo(bound, peer('a'), Incarnation('own'))).toBe(true);
    expect(isBoundTo(bound, peer('a'), Incarnation('other'))).toBe(false);
    expect(isBoundTo(bound, peer('b'), Incarnation('other'))).toBe(true);
  });
});
