import { describe, expect, it } from '@jest/globals';
import { factsSeen } from '../../../../../operator/cluster/evidence.ts';
import type { Observed } from '../../../../../operator/cluster/observed.ts';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import {
  brokenPod,
  claim,
  facts,
  group,
  observed,
  pod,
  report,
  spec,
  statefulSet,
} from '../../../../support/operator/observed.ts';

describe('planHibernation', () => {
  it('stops all pods at once and then does nothing', () => {
    const asleep = observed(3, { spec: spec({ hibernate: true }) });
    expect(plan(asleep).action).toEqual({ type: 'setReplicas', replicas: 0 });
    const off = { ...asleep, pods: [], group: undefined, statefulSet: statefulSet(0) };
    expect(plan(off).action).toBeUndefined();
  });

  it('wakes all members at once, whatever the spec asks for by then', () => {
    const off = { pods: [], group: undefined, statefulSet: statefulSet(0) };
    const woken = observed(5, { ...off, spec: spec({ replicas: 1 }) });
    expect(plan(woken).action).toEqual({ type: 'setReplicas', replicas: 5 });
  });
});

describe('planPods', () => {
  it('brings a deleted StatefulSet back with a pod for every member', () => {
    const next = plan(observed(3, { statefulSet: undefined, spec: spec({ replicas: 1 }) }));
    expect(next.action).toEqual({ type: 'createStatefulSet', replicas: 3 });
  });

  it('keeps pods that still vote in a change that is under way', () => {
    const leaving = group([0], { stable: false });
    const next = plan(observed(3, { statefulSet: undefined, group: leaving }));
    expect(next.action).toEqual({ type: 'createStatefulSet', replicas: 3 });
  });

  it('makes up for who scaled the StatefulSet by hand', () => {
    const next = plan(observed(3, { statefulSet: statefulSet(1) }));
    expect(next.action).toEqual({ type: 'setReplicas', replicas: 3 });
  });

  it('believes the report that needs the most pods when nobody leads', () => {
    const pods = [
      pod(0, { report: report(0, { voters: [0, 1, 2], configurationIndex: 5 }) }),
      pod(1, { report: report(1, { voters: [0, 1], configurationIndex: 9 }) }),
    ];
    const next = plan(observed(2, { pods, group: undefined }));
    expect(next.action).toEqual({ type: 'setReplicas', replicas: 3 });
  });

  it('goes by the volumes when status is lost and no pod is left', () => {
    const bare = { statefulSet: undefined, pods: [], group: undefined };
    const status = { lineage: { id: 'lineage', sequence: 0 } };
    const next = plan(observed(3, { ...bare, status }));
    expect(next.action).toEqual({ type: 'createStatefulSet', replicas: 3 });
  });
});

describe('planLineage', () => {
  it('does nothing at all when a disk has another history', () => {
    const pods = [pod(0), pod(1), pod(2, { report: report(2, { lineage: 'other' }) })];
    const next = plan(observed(3, { pods, spec: spec({ replicas: 1 }) }));
    expect(next.action).toBeUndefined();
    expect(next.stalled?.reason).toBe('LineageInconsistent');
  });
});

describe('planWithoutLeader', () => {
  const down = { group: undefined, statefulSet: statefulSet(3, { templateHash: 'hash-0' }) };

  it('changes nothing destructive and tells after the grace period', () => {
    const claims = [claim(0), claim(1, { lost: true }), claim(2, { lost: true })];
    const lost = observed(3, { group: undefined, claims, spec: spec({ replicas: 1 }) });
    expect(plan(lost).stalled).toBeUndefined();
    const later = plan({ ...lost, facts: facts('noLeader') });
    expect(later.action).toBeUndefined();
    expect(later.stalled?.reason).toBe('QuorumLost');
  });

  it('gives broken pods a new template, and never the one that failed', () => {
    const pods = [pod(0), brokenPod(1), brokenPod(2)];
    expect(plan(observed(3, { ...down, pods })).action).toEqual({ type: 'applyTemplate' });
    const failed = observed(3, { ...down, pods, status: { failedTemplate: 'hash-1' } });
    expect(plan(failed).action).toBeUndefined();
  });

  it('restarts pods that run only when all answer and nobody has led for long', () => {
    const stuck = observed(3, down);
    const held = (seen: Observed) => ({ ...seen, facts: facts(...factsSeen(seen)) });
    expect(plan(held(stuck)).action).toEqual({ type: 'applyTemplate' });
    expect(plan(stuck).action).toBeUndefined();
    const unseen = observed(3, { ...down, pods: [pod(0), pod(1, { report: undefined }), pod(2)] });
    expect(plan(held(unseen)).action).toBeUndefined();
    const gone = { node: undefined, report: undefined };
    const few = observed(3, { ...down, pods: [pod(0), pod(1, gone), pod(2, gone)] });
    expect(plan(held(few)).action).toBeUndefined();
    // All have been there for a moment only: they may have no leader yet.
    expect(plan({ ...stuck, facts: facts('noLeader') }).action).toBeUndefined();
  });
});
