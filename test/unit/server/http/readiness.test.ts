import { describe, expect, it } from '@jest/globals';
import { notReadyReason } from '../../../../server/http/readiness.ts';
import type { NodeStatus } from '../../../../server/raft/index.ts';
import { peerId } from '../../../support/transport-host.ts';

const SELF = peerId('127.0.0.1:1');
const OTHER = peerId('127.0.0.1:2');

type Facts = {
  readonly members?: Partial<NodeStatus['configuration']['configuration']>;
  readonly joined?: boolean;
  readonly leader?: NodeStatus['leader'];
  readonly state?: NodeStatus['state'];
  readonly applied?: number;
};

/** What readiness looks at, of a follower that is ready. */
function statusOf({ members = {}, joined = true, leader, state, applied = 90_000 }: Facts) {
  const configuration = { voters: new Set([SELF, OTHER]), learners: new Set(), ...members };
  return {
    state: state ?? 'follower',
    peer: SELF,
    leader,
    committedIndex: 100_000,
    knownAppliedIndex: applied,
    identity: { joined },
    configuration: { configuration },
  } as unknown as NodeStatus;
}

const none = new Set<typeof SELF>();
const leader = OTHER;

describe('readiness', () => {
  it.each<[string, Facts]>([
    ['a follower that knows its leader', { leader }],
    ['a leader', { state: 'leader', leader: SELF }],
    ['a learner', { leader, members: { voters: none, learners: new Set([SELF]) } }],
    ['a voter that is leaving', { leader, members: { voters: none, outgoing: new Set([SELF]) } }],
  ])('is there for %s', (_name, facts) => {
    expect(notReadyReason(statusOf(facts))).toBeUndefined();
  });

  it.each<[string, Facts, string]>([
    ['waits to be added', { joined: false, leader }, 'waiting to be added'],
    ['was removed', { leader, members: { voters: new Set([OTHER]) } }, 'not a member'],
    ['knows no leader', {}, 'no leader'],
    ['campaigns', { state: 'candidate' }, 'no leader'],
    ['lags', { leader, applied: 89_999 }, 'catching up: 10001 entries'],
    ['failed', { state: 'error', leader }, 'failure'],
    ['stops', { state: 'shutting', leader }, 'shutting'],
  ])('is missing for a server that %s', (_name, facts, reason) => {
    expect(notReadyReason(statusOf(facts))).toContain(reason);
  });
});
