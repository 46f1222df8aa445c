import { describe, expect, it } from '@jest/globals';
import { groupView } from '../../../../operator/cluster/group-view.ts';
import { peerId } from '../../../../operator/resources/names.ts';
import { GetStatusResponse, type FollowerStatus } from '../../../../proto/gen/raft/v1/cli.ts';

const CLUSTER = { namespace: 'demo', name: 'c' };
const first = peerId(CLUSTER, 0);
const second = peerId(CLUSTER, 1);
const third = peerId(CLUSTER, 2);

/** What the leader, member 0, says of itself and of one follower. */
function seen(follower: Partial<FollowerStatus>, more: Partial<GetStatusResponse> = {}) {
  const status = GetStatusResponse.fromPartial({
    ...{ peerId: first, peers: [first, second], state: 'LEADER', committedIndex: 2_000 },
    ...{ configurationIndex: 7, committedConfigurationIndex: 7 },
    ...more,
    followers: [{ peerId: second, matchIndex: 2_000, lastContactMs: 10, ...follower }],
  });
  return groupView(CLUSTER, status);
}

describe('a follower', () => {
  it.each([
    ['that answers and has everything', {}, true],
    ['that is a little behind', { matchIndex: 1_000 }, true],
    ['that is far behind', { matchIndex: 999 }, false],
    ['that answered three seconds ago', { lastContactMs: 3_000 }, true],
    ['that is silent for longer', { lastContactMs: 3_001 }, false],
    ['that has never answered', { lastContactMs: -1 }, false],
    ['that is being sent a snapshot', { installingSnapshot: true }, false],
  ])('%s: takes part is %s', (_, follower, participating) => {
    const voter = seen(follower).voters.find(({ ordinal }) => ordinal === 1);
    expect(voter?.participating).toBe(participating);
  });

  it('outside of the configuration is a learner, which answers or does not', () => {
    const { learners } = seen({ peerId: third, incarnation: 'disk', lastContactMs: 10 });
    expect(learners).toEqual([{ incarnation: 'disk', answers: true }]);
    const silent = seen({ peerId: third, incarnation: 'disk', lastContactMs: 3_001 });
    expect(silent.learners).toEqual([{ incarnation: 'disk', answers: false }]);
  });
});

describe('a voter', () => {
  it('of which its leader says nothing does not take part', () => {
    const voter = seen({ peerId: third }).voters.find(({ ordinal }) => ordinal === 1);
    expect(voter).toEqual({ ordinal: 1, incarnation: '', matchIndex: 0, participating: false });
  });

  it('that is no pod of the cluster is an error: nobody may plan without it', () => {
    const stranger = { peers: ['10.0.0.1:8100:0:0'] };
    expect(() => seen({}, stranger)).toThrow('10.0.0.1:8100:0:0, which is no pod');
  });
});

describe('a configuration', () => {
  it.each([
    ['that is committed and simple', {}, true],
    ['that is not committed yet', { configurationIndex: 8 }, false],
    ['that is joint', { outgoingPeers: [third] }, false],
  ])('%s: stable is %s', (_, more, stable) => {
    expect(seen({}, more)).toMatchObject({ stable, configurationIndex: 7 });
  });
});
