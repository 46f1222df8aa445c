import { describe, expect, it } from '@jest/globals';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import {
  brokenPod,
  claim,
  emptyReport,
  facts,
  nothingYet,
  pod,
  report,
  statefulSet,
} from '../../../../support/operator/observed.ts';

const fresh = (ordinal: number) => pod(ordinal, { report: emptyReport(ordinal) });
const unmarked = (ordinal: number) => claim(ordinal, { clusterId: undefined });

describe('planBootstrap', () => {
  it('starts one pod when nothing exists', () => {
    expect(plan(nothingYet()).action).toEqual({ type: 'createStatefulSet', replicas: 1 });
  });

  it('notes an id before the first disk is told to begin', () => {
    const seen = { statefulSet: statefulSet(1), pods: [fresh(0)], claims: [unmarked(0)] };
    expect(plan(nothingYet(seen)).action).toEqual({ type: 'recordClusterId' });
    const noted = nothingYet({ ...seen, status: { clusterID: 'cluster' } });
    expect(plan(noted).action).toEqual({ type: 'bootstrap', clusterId: 'cluster' });
  });

  it('never begins again on an empty disk when a group has lived on its volume', () => {
    const seen = { statefulSet: statefulSet(1), pods: [fresh(0)], claims: [claim(0)] };
    for (const status of [{}, { clusterID: 'cluster' }]) {
      const next = plan(nothingYet({ ...seen, status, facts: facts('noLeader') }));
      expect(next.action).toBeUndefined();
      expect(next.stalled?.reason).toBe('QuorumLost');
    }
  });

  it('never begins while another disk of the cluster has members', () => {
    const pods = [fresh(0), pod(1)];
    const seen = { statefulSet: statefulSet(2), pods, claims: [unmarked(0), unmarked(1)] };
    const next = plan(nothingYet({ ...seen, status: { clusterID: 'cluster' } }));
    expect(next.action?.type).not.toBe('bootstrap');
  });

  it('looks at every disk before the first one begins', () => {
    const claims = [unmarked(0), unmarked(1)];
    const status = { clusterID: 'cluster' };
    const one = nothingYet({ statefulSet: statefulSet(1), pods: [fresh(0)], claims, status });
    expect(plan(one).action).toEqual({ type: 'setReplicas', replicas: 2 });
    const silent = { ...one, statefulSet: statefulSet(2), pods: [fresh(0)] };
    expect(plan(silent).action).toBeUndefined();
    const all = { ...silent, pods: [fresh(0), fresh(1)] };
    expect(plan(all).action).toEqual({ type: 'bootstrap', clusterId: 'cluster' });
  });

  it('gives a first pod that cannot start the corrected template', () => {
    const pods = [brokenPod(0)];
    const outdated = statefulSet(1, { templateHash: 'hash-0' });
    const seen = nothingYet({ statefulSet: outdated, pods, claims: [unmarked(0)] });
    expect(plan(seen).action).toEqual({ type: 'applyTemplate' });
    const applied = statefulSet(1, { updateRevision: 'rev-2' });
    expect(plan({ ...seen, statefulSet: applied }).action).toEqual({
      ...{ type: 'deletePod', ordinal: 0, uid: 'pod-0' },
    });
  });

  it('asks before it takes over the volumes of another cluster, and then brings all back', () => {
    const claims = [claim(0), claim(1), claim(2, { quarantinedAt: '2029-12-31T00:00:00Z' })];
    const asked = plan(nothingYet({ claims }));
    expect(asked.stalled?.reason).toBe('ForeignDisks');
    expect(asked.stalled?.message).toContain('adopt-cluster-id=cluster');
    const adopted = nothingYet({ claims, adoptClusterId: 'cluster' });
    expect(plan(adopted).action).toEqual({ type: 'recordClusterId', clusterId: 'cluster' });
    const noted = { ...adopted, status: { clusterID: 'cluster' } };
    expect(plan(noted).action).toEqual({ type: 'createStatefulSet', replicas: 2 });
  });

  it('does not begin on a disk that says it is of another cluster', () => {
    const odd = report(0, { ...emptyReport(0), clusterId: 'other' });
    const pods = [pod(0, { report: odd })];
    const next = plan(nothingYet({ statefulSet: statefulSet(1), pods, claims: [unmarked(0)] }));
    expect(next.stalled?.reason).toBe('ForeignDisks');
  });
});
