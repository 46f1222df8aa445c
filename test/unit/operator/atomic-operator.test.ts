import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import {
  CLAIMS,
  PODS,
  SERVICES,
  STATEFUL_SETS,
} from '../../../operator/resources/resource-types.ts';
import type {
  ClaimObject,
  StatefulSetObject,
} from '../../../operator/cluster/kubernetes-objects.ts';
import { createControllerMetrics } from '../../../operator/controller/metrics.ts';
import { FakeClock } from '../../support/kubernetes/fake-clock.ts';
import { FakeKubernetes } from '../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../support/operator/running-operator.ts';

const CLUSTERS = 10;
const SECONDS = 1_000;
const MINUTES = 60 * SECONDS;
/** After so long the watermarks, too, have been written for the last time. */
const QUIET_MS = 40 * SECONDS;
/** In steps of a second; a hang, not a deadline. */
const STEPS_MAX = 600;

describe('an operator of many clusters', () => {
  const clock = new FakeClock();
  let kubernetes: FakeKubernetes;
  let operator: RunningOperator;
  /** API calls of each pass over the first cluster. */
  let calls: number[];

  beforeEach(async () => {
    calls = [];
    let before = 0;
    const counted = {
      started: () => {
        before = kubernetes.api.requests.length;
      },
      finished: () => {
        calls.push(kubernetes.api.requests.length - before);
      },
    };
    const metrics = { ...createControllerMetrics(), controller: () => counted };
    kubernetes = new FakeKubernetes(clock);
    const { api, members } = kubernetes;
    operator = new RunningOperator({ api, clock, metrics, connect: members.connect });
    await created(1);
  });

  afterEach(() => operator.stop());

  async function created(count: number): Promise<void> {
    kubernetes.applyClusters(count);
    for (let step = 0; step < STEPS_MAX && kubernetes.settled() < count; step++) {
      await clock.advance(SECONDS);
    }
    expect(kubernetes.settled()).toBe(count);
  }

  it('writes nothing while they are well', async () => {
    await created(CLUSTERS);
    await clock.advance(QUIET_MS);
    const { length } = kubernetes.api.requests;
    const asked = kubernetes.members.calls;
    await clock.advance(5 * MINUTES);
    expect(kubernetes.members.calls).toBeGreaterThan(asked + CLUSTERS * 50);
    const verbs = kubernetes.api.requests.slice(length).map(({ verb }) => verb);
    // Watches that the server ends from time to time are opened again.
    expect(verbs.filter((verb) => verb !== 'watch')).toEqual([]);
  });

  it('writes nothing when it has to list everything again', async () => {
    await created(CLUSTERS);
    await clock.advance(QUIET_MS);
    const { length } = kubernetes.api.writes;
    kubernetes.api.compact();
    for (const type of [ATOMIC_CLUSTER, PODS, SERVICES]) {
      kubernetes.api.failWatches(type, { code: 410, reason: 'Expired' });
    }
    await clock.advance(MINUTES);
    expect(kubernetes.api.requests.filter(({ verb }) => verb === 'list').length).toBeGreaterThan(
      10,
    );
    expect(kubernetes.api.writes).toHaveLength(length);
  });

  it('needs few API calls for each pass', () => {
    const [first = 0, ...others] = calls;
    // The first one makes ten objects beside the pods.
    expect(first).toBeLessThanOrEqual(16);
    expect(Math.max(...others)).toBeLessThanOrEqual(7);
  });

  it('looks after one that is changed while others rest', async () => {
    await created(CLUSTERS);
    kubernetes.applyClusters(1, { replicas: 5 });
    await clock.advance(30 * SECONDS);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(5);
  });

  describe('whose volumes are to be larger', () => {
    const size = '2Gi';
    const sizes = () => {
      const claims = kubernetes.api.peekAll<ClaimObject>(CLAIMS);
      return claims.map(({ spec }) => spec?.resources?.requests?.storage);
    };
    const pods = () => kubernetes.api.peekAll(PODS).map(({ metadata }) => metadata.uid);
    const claimSize = () => {
      const [set] = kubernetes.api.peekAll<StatefulSetObject>(STATEFUL_SETS);
      return set?.spec?.volumeClaimTemplates?.[0]?.spec?.resources?.requests?.storage;
    };
    const condition = (type: string) =>
      kubernetes.cluster(0)?.status?.conditions?.find((one) => one.type === type);

    it('grows them, and makes the StatefulSet anew under the same pods', async () => {
      const before = pods();
      // Another template at the same time must not carry the size: Kubernetes would refuse it.
      kubernetes.applyClusters(1, { storage: { size }, raft: { electionTimeout: '2s' } });
      await clock.advance(MINUTES);
      expect(sizes()).toEqual([size, size, size]);
      expect(claimSize()).toBe(size);
      expect(pods()).toEqual(before);
      expect(condition('StorageReady')?.status).toBe('True');
    });

    it('tells why it cannot, asks seldom, and scales meanwhile', async () => {
      kubernetes.volumesMayGrow = false;
      kubernetes.applyClusters(1, { storage: { size } });
      await clock.advance(MINUTES);
      const asked = () =>
        kubernetes.api.writes.filter(
          ({ type, body }) => type === CLAIMS && JSON.stringify(body).includes(size),
        );
      expect(asked()).toHaveLength(1);
      expect(condition('StorageReady')?.reason).toBe('GrowthRefused');
      expect(condition('Stalled')?.message).toContain('must support resize');
      kubernetes.applyClusters(1, { replicas: 1, storage: { size } });
      await clock.advance(MINUTES);
      expect(kubernetes.cluster(0)?.status?.voters).toBe(1);
      kubernetes.volumesMayGrow = true;
      await clock.advance(10 * MINUTES);
      expect(sizes()[0]).toBe(size);
    });
  });
});
