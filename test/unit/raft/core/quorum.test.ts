import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { PeerId } from '../../../../server/raft/core/ids.ts';
import type { Configuration } from '../../../../server/raft/core/membership.ts';
import { hasQuorum, quorumValue } from '../../../../server/raft/core/quorum.ts';
import { peer } from '../../../support/core-cluster.ts';

const LETTERS = 'abcdefg'.split('');

type Group = {
  readonly configuration: Configuration;
  readonly valueOf: (id: PeerId) => number;
};

const someVoters = fc.subarray(LETTERS, { minLength: 1 });

const groups: fc.Arbitrary<Group> = fc
  .record({
    voters: someVoters,
    outgoing: fc.option(someVoters, { nil: undefined }),
    learners: fc.subarray(LETTERS),
    values: fc.array(fc.nat(5), { minLength: LETTERS.length, maxLength: LETTERS.length }),
  })
  .map(({ voters, outgoing, learners, values }) => {
    const valueByPeer = new Map(LETTERS.map((letter, index) => [peer(letter), values[index] ?? 0]));
    const configuration = {
      voters: new Set(voters.map(peer)),
      learners: new Set(learners.map(peer)),
      incarnations: new Map(),
      ...(outgoing && { outgoing: new Set(outgoing.map(peer)) }),
    };
    return { configuration, valueOf: (id) => valueByPeer.get(id) ?? 0 };
  });

/** Every set of peers that holds more than half of each list of voters (§6). */
function quorumsOf({ voters, outgoing }: Configuration): PeerId[][] {
  const everybody = LETTERS.map(peer);
  const subsets = Array.from({ length: 1 << everybody.length }, (_, bits) =>
    everybody.filter((_peer, position) => (bits >> position) & 1),
  );
  const halves = outgoing === undefined ? [voters] : [voters, outgoing];
  return subsets.filter((subset) =>
    halves.every((half) => subset.filter((id) => half.has(id)).length > half.size / 2),
  );
}

describe('quorumValue', () => {
  it('is the best value that all members of some quorum have reached', () => {
    fc.assert(
      fc.property(groups, ({ configuration, valueOf }) => {
        const reached = quorumsOf(configuration).map((quorum) => Math.min(...quorum.map(valueOf)));
        expect(quorumValue(configuration, valueOf)).toBe(Math.max(...reached));
      }),
    );
  });

  it('does not depend on learners or strangers', () => {
    fc.assert(
      fc.property(groups, ({ configuration, valueOf }) => {
        const { voters, outgoing } = configuration;
        const counted = (id: PeerId): boolean => voters.has(id) || outgoing?.has(id) === true;
        const others = quorumValue(configuration, (id) => (counted(id) ? valueOf(id) : 1_000));
        expect(others).toBe(quorumValue(configuration, valueOf));
      }),
    );
  });

  it('never rises when a joint configuration adds a half', () => {
    fc.assert(
      fc.property(groups, ({ configuration, valueOf }) => {
        const alone = quorumValue({ voters: configuration.voters }, valueOf);
        expect(quorumValue(configuration, valueOf)).toBeLessThanOrEqual(alone);
      }),
    );
  });

  it.each([
    ['one', { a: 7 }, 7],
    ['two: both are needed', { a: 7, b: 3 }, 3],
    ['three: the middle one', { a: 7, b: 3, c: 5 }, 5],
    ['four: three are needed', { a: 9, b: 7, c: 5, d: 3 }, 5],
    ['five: the middle one', { a: 9, b: 7, c: 5, d: 3, e: 1 }, 5],
  ])('of %s', (_, held, value) => {
    const byPeer = new Map(Object.entries(held).map(([letter, index]) => [peer(letter), index]));
    expect(quorumValue({ voters: new Set(byPeer.keys()) }, (id) => byPeer.get(id) ?? 0)).toBe(
      value,
    );
  });

  it('refuses a configuration without voters, which a program fault alone can bring', () => {
    expect(() => quorumValue({ voters: new Set() }, () => 0)).toThrow('a quorum of no voters');
  });
});

describe('hasQuorum', () => {
  it('holds exactly when the peers that agree include a quorum', () => {
    fc.assert(
      fc.property(groups, fc.subarray(LETTERS), ({ configuration }, agreeing) => {
        const agree = new Set(agreeing.map(peer));
        const expected = quorumsOf(configuration).some((quorum) =>
          quorum.every((id) => agree.has(id)),
        );
        expect(hasQuorum(configuration, (id) => agree.has(id))).toBe(expected);
      }),
    );
  });

  it('two quorums of one configuration share a voter of each half', () => {
    const sets = fc.tuple(groups, fc.subarray(LETTERS), fc.subarray(LETTERS));
    fc.assert(
      fc.property(sets, ([{ configuration }, left, right]) => {
        const [one, other] = [new Set(left.map(peer)), new Set(right.map(peer))];
        const both = [one, other].every((set) => hasQuorum(configuration, (id) => set.has(id)));
        fc.pre(both);
        const shared = [...one].filter((id) => other.has(id));
        const { voters, outgoing = voters } = configuration;
        for (const half of [voters, outgoing]) {
          expect(shared.some((id) => half.has(id))).toBe(true);
        }
      }),
    );
  });
});
