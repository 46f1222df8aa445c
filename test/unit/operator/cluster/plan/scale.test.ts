import { describe, expect, it } from '@jest/globals';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import {
  claim,
  emptyReport,
  group,
  observed,
  pod,
  spec,
  statefulSet,
  voter,
} from '../../../../support/operator/observed.ts';

const size = (replicas: number) => ({ spec: spec({ replicas }) });
const guard = { configurationIndex: 10, fence: 1 };
const fresh = (ordinal: number) => pod(ordinal, { report: emptyReport(ordinal) });
const silent = (ordinal: number) => voter(ordinal, { participating: false });
const pods = (...ordinals: readonly number[]) => ordinals.map((ordinal) => pod(ordinal));

describe('growing', () => {
  it('starts the pods first, two at a time', () => {
    expect(plan(observed(1, size(5))).action).toEqual({ type: 'setReplicas', replicas: 3 });
    expect(plan(observed(3, size(4))).action).toEqual({ type: 'setReplicas', replicas: 4 });
  });

  it('adds empty disks by one change', () => {
    const seen = { pods: [pod(0), fresh(1), fresh(2)], group: group([0]) };
    const next = plan(observed(3, { ...seen, ...size(3) }));
    expect(next.action).toEqual({ type: 'changePeers', voters: [0, 1, 2], ...guard });
  });

  it('has a disk that was a member before put its data aside', () => {
    const next = plan(observed(3, { ...size(3), group: group([0, 1]) }));
    expect(next.action).toEqual({ type: 'joinFresh', ordinal: 2, incarnation: 'disk-2' });
  });

  it('takes the mark off a volume that was set aside before its member votes', () => {
    const kept = claim(2, { quarantinedAt: '2029-12-31T00:00:00Z' });
    const seen = { pods: [pod(0), pod(1), fresh(2)], group: group([0, 1]) };
    const next = plan(observed(3, { ...size(3), ...seen, claims: [claim(0), claim(1), kept] }));
    expect(next.action).toEqual({ type: 'releaseClaim', ordinal: 2, uid: 'claim-2' });
  });

  it('leaves a disk alone that the leader is bringing up to date', () => {
    const seen = { group: group([0, 1], { learners: [{ incarnation: 'disk-2', answers: true }] }) };
    expect(plan(observed(3, { ...size(3), ...seen })).action?.type).toBe('changePeers');
  });

  it('waits while the larger group would have no quorum without the newcomers', () => {
    const next = plan(observed(3, { ...size(5), group: group([0, 1, silent(2)]) }));
    expect(next.action).toBeUndefined();
  });
});

describe('shrinking', () => {
  it('removes peers before pods end', () => {
    const next = plan(observed(5, size(1)));
    expect(next.action).toEqual({ type: 'changePeers', voters: [0, 1, 2], ...guard });
    const removed = observed(5, { ...size(3), group: group([0, 1, 2]) });
    expect(plan(removed).action).toEqual({ type: 'setReplicas', replicas: 3 });
  });

  it('moves leadership to a member that stays', () => {
    const seen = { group: group([0, voter(1, { matchIndex: 200 }), 2], { leader: 2 }) };
    const next = plan(observed(3, { ...size(2), ...seen }));
    expect(next.action).toEqual({ type: 'transferLeader', to: 1 });
  });

  it('removes nobody when those that stay have no quorum', () => {
    const seen = { group: group([0, silent(1), 2]) };
    expect(plan(observed(3, { ...size(2), ...seen })).action).toBeUndefined();
  });
});

describe('a gap among the members', () => {
  const gap = { ...size(3), statefulSet: statefulSet(4) };

  it('is filled before the last member leaves, in one change', () => {
    const seen = { group: group([0, 1, 3]), pods: [pod(0), pod(1), fresh(2), pod(3)] };
    const next = plan(observed(4, { ...gap, ...seen }));
    expect(next.action).toEqual({ type: 'changePeers', voters: [0, 1, 2], ...guard });
  });

  it('is filled by an empty disk', () => {
    const seen = { group: group([0, 1, 3]), pods: pods(0, 1, 2, 3) };
    expect(plan(observed(4, { ...gap, ...seen })).action?.type).toBe('joinFresh');
  });

  it('moves the leader first', () => {
    const led = group([0, 1, 3], { leader: 3 });
    const seen = { group: led, pods: [pod(0), pod(1), fresh(2), pod(3)] };
    expect(plan(observed(4, { ...gap, ...seen })).action?.type).toBe('transferLeader');
  });

  it('waits for a quorum of those that stay', () => {
    const seen = { group: group([0, silent(1), 3]), pods: [pod(0), pod(1), fresh(2), pod(3)] };
    expect(plan(observed(4, { ...gap, ...seen })).action).toBeUndefined();
  });
});

describe('volumes', () => {
  it.each([undefined, '2029-01-01T00:00:00Z'])(
    'of another cluster is left alone, marked or not (%s)',
    (quarantinedAt) => {
      const foreign = claim(3, { clusterId: 'other', quarantinedAt });
      const seen = observed(3, { claims: [claim(0), claim(1), claim(2), foreign] });
      expect(plan(seen).action).toBeUndefined();
    },
  );

  const spare = (quarantinedAt: string | undefined) =>
    observed(3, { claims: [claim(0), claim(1), claim(2), claim(3, { quarantinedAt })] });

  it('of members that were scaled away are set aside, and deleted after a while', () => {
    const target = { ordinal: 3, uid: 'claim-3' };
    expect(plan(spare(undefined)).action).toEqual({ type: 'quarantineClaim', ...target });
    expect(plan(spare('2029-12-31T00:00:00Z')).action).toBeUndefined();
    expect(plan(spare('2029-12-01T00:00:00Z')).action).toEqual({ type: 'deleteClaim', ...target });
  });

  it('of voters lose the mark and are never deleted', () => {
    const claims = [claim(0), claim(1), claim(2, { quarantinedAt: '2029-01-01T00:00:00Z' })];
    const next = plan(observed(3, { claims }));
    expect(next.action).toEqual({ type: 'releaseClaim', ordinal: 2, uid: 'claim-2' });
  });
});
