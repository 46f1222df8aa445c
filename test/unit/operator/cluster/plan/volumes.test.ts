import { describe, expect, it } from '@jest/globals';
import { conditionsOf } from '../../../../../operator/cluster/conditions.ts';
import type { Observed } from '../../../../../operator/cluster/observed.ts';
import { plan } from '../../../../../operator/cluster/plan/plan.ts';
import {
  claim,
  group,
  observed,
  pod,
  spec,
  statefulSet,
  voter,
} from '../../../../support/operator/observed.ts';

const GIBIBYTE = 2 ** 30;
const asked = (size: string) => ({ spec: spec({ storage: { size } }) });
const sized = (ordinal: number, requested: number, capacity = requested) =>
  claim(ordinal, { requestedBytes: requested * GIBIBYTE, capacityBytes: capacity * GIBIBYTE });

const grown = [sized(0, 5), sized(1, 5), sized(2, 5)];

function conditionOf(seen: Observed, type: string) {
  return conditionsOf(seen, plan(seen)).find((one) => one.type === type);
}

describe('volumes that are smaller than the spec asks for', () => {
  it('grow one after the other', () => {
    const grow = (ordinal: number) => ({
      ...{ type: 'growClaim', ordinal, uid: `claim-${String(ordinal)}`, size: '5Gi' },
    });
    expect(plan(observed(3, asked('5Gi'))).action).toEqual(grow(0));
    const first = observed(3, { ...asked('5Gi'), claims: [sized(0, 5), claim(1), claim(2)] });
    expect(plan(first).action).toEqual(grow(1));
  });

  it.each([
    ['the same', sized(0, 5, 1)],
    ['a size in between', sized(0, 2, 1)],
  ])('wait for one that grows to %s', (_, growing) => {
    const pending = { ...growing, growth: 'its file system grows when its pod starts' };
    const seen = observed(3, { ...asked('5Gi'), claims: [pending, claim(1), claim(2)] });
    expect(plan(seen).action).toBeUndefined();
    expect(conditionOf(seen, 'StorageReady')).toMatchObject({
      status: 'False',
      reason: 'Growing',
      message: expect.stringContaining('data-c-0: its file system grows when its pod starts'),
    });
  });

  it('leave the cluster ready, and not converged', () => {
    const seen = observed(3, asked('5Gi'));
    expect(conditionOf(seen, 'Ready')?.status).toBe('True');
    expect(conditionOf(seen, 'Reconciling')?.status).toBe('True');
  });

  it('are left alone while another step is due', () => {
    const seen = observed(3, { spec: spec({ replicas: 5, storage: { size: '5Gi' } }) });
    expect(plan(seen).action?.type).toBe('setReplicas');
  });

  it('are not asked for again when Kubernetes refuses, and everything else goes on', () => {
    const refused = { growthRefused: 'the class does not allow it' };
    const seen = observed(3, { ...asked('5Gi'), ...refused });
    expect(plan(seen)).toMatchObject({ stalled: { reason: 'Refused' } });
    expect(plan(seen).action).toBeUndefined();
    expect(conditionOf(seen, 'StorageReady')).toMatchObject({ reason: 'GrowthRefused' });
    const larger = observed(3, {
      ...refused,
      spec: spec({ replicas: 5, storage: { size: '5Gi' } }),
    });
    expect(plan(larger).action?.type).toBe('setReplicas');
  });
});

describe('volumes that are not touched', () => {
  it.each([
    ['larger than asked for', { claims: grown, statefulSet: statefulSet(3, { claimSize: '5Gi' }) }],
    [
      'of an unknown size',
      { ...asked('5Gi'), claims: [0, 1, 2].map(unknown), statefulSet: ofSize() },
    ],
    ['set aside', { ...asked('5Gi'), claims: [...grown, aside(3)], statefulSet: ofSize() }],
  ])('are those %s', (_, seen) => {
    expect(plan(observed(3, seen)).action).toBeUndefined();
  });

  function unknown(ordinal: number) {
    return claim(ordinal, { requestedBytes: undefined, capacityBytes: undefined });
  }
  function aside(ordinal: number) {
    return claim(ordinal, { quarantinedAt: '2029-12-31T00:00:00Z' });
  }
  function ofSize() {
    return statefulSet(3, { claimSize: '5Gi' });
  }
});

describe('the StatefulSet', () => {
  const ready = { ...asked('5Gi'), claims: grown };

  it('is made anew, its pods kept, when all volumes have grown', () => {
    expect(plan(observed(3, ready)).action).toEqual({ type: 'orphanPods', uid: 'set' });
    const gone = observed(3, { ...ready, statefulSet: undefined });
    expect(plan(gone).action).toEqual({ type: 'createStatefulSet', replicas: 3 });
  });

  it.each([
    ['a member does not take part', { group: group([0, 1, voter(2, { participating: false })]) }],
    ['a pod ends', { pods: [pod(0), pod(1), pod(2, { deleting: true })] }],
    ['an older template is in force', { status: failed(), templateHash: 'failed' }],
    ['a volume has not been heard of', { claims: grown.slice(1) }],
    ['a volume still grows', { claims: [sized(0, 5), sized(1, 5), sized(2, 5, 1)] }],
  ])('stays while %s', (_, seen) => {
    const next = plan(observed(3, { ...ready, ...seen }));
    expect(next.action).toBeUndefined();
  });

  function failed(): Observed['status'] {
    return {
      clusterID: 'cluster',
      lineage: { id: 'lineage', sequence: 0 },
      failedTemplate: 'failed',
    };
  }
});
