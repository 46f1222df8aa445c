import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import { commonLabels } from '../../../operator/resources/names.ts';
import {
  CLAIMS,
  NETWORK_POLICIES,
  PODS,
  SERVICE_MONITORS,
  SERVICES,
  STATEFUL_SETS,
} from '../../../operator/resources/resource-types.ts';
import type {
  ClaimObject,
  StatefulSetObject,
} from '../../../operator/cluster/kubernetes-objects.ts';
import { EVENTS, type EventObject } from '../../../operator/controller/event-recorder.ts';
import type { KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';
import { createControllerMetrics } from '../../../operator/controller/metrics.ts';
import { FakeClock } from '../../support/kubernetes/fake-clock.ts';
import { FakeKubernetes } from '../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../support/operator/running-operator.ts';
import { stepUntilSettled } from '../../support/operator/settling.ts';

type ServiceObject = KubernetesObject & {
  readonly spec?: { readonly selector?: Readonly<Record<string, string>> };
};

const CLUSTERS = 10;
const SECONDS = 1_000;
const MINUTES = 60 * SECONDS;
/** After so long the watermarks, too, have been written for the last time. */
const QUIET_MS = 40 * SECONDS;

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
    expect(await stepUntilSettled(kubernetes, clock, count)).toBe(count);
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

  it('removes what a setting turns off, and the Services of members that are gone', async () => {
    const services = () => kubernetes.api.peekAll(SERVICES).map(({ metadata }) => metadata.name);
    expect(services()).toContain('c0-2');
    const foreign = {
      metadata: { namespace: 'demo', name: 'c0-by-hand', labels: commonLabels('c0') },
    };
    kubernetes.api.put(SERVICES, foreign);
    kubernetes.applyClusters(1, { replicas: 1, networkPolicy: { enabled: false } });
    await clock.advance(MINUTES);
    expect(services()).toEqual(['c0', 'c0-0', 'c0-by-hand', 'c0-leader', 'c0-peer', 'c0-read']);
    expect(kubernetes.api.peekAll(NETWORK_POLICIES)).toEqual([]);
  });

  it('leads the Services of leader and followers to the right pods', async () => {
    const found = async (name: string): Promise<readonly string[]> => {
      const service = await kubernetes.api.get<ServiceObject>(SERVICES, {
        namespace: 'demo',
        name,
      });
      const labelSelector = Object.entries(service?.spec?.selector ?? {})
        .map(([label, value]) => `${label}=${value}`)
        .join(',');
      return kubernetes.api.peekAll(PODS, { labelSelector }).map(({ metadata }) => metadata.name);
    };
    await clock.advance(10 * SECONDS);
    expect(await found('c0')).toEqual(['c0-0', 'c0-1', 'c0-2']);
    expect(await found('c0-leader')).toEqual(['c0-0']);
    expect(await found('c0-read')).toEqual(['c0-1', 'c0-2']);
    kubernetes.members.lead({ namespace: 'demo', name: 'c0' }, 2);
    await clock.advance(10 * SECONDS);
    expect(await found('c0-leader')).toEqual(['c0-2']);
    expect(await found('c0-read')).toEqual(['c0-0', 'c0-1']);
  });

  describe('that is to be monitored', () => {
    const enabled = { monitoring: { serviceMonitor: 'Enabled' } } as const;
    const condition = () => kubernetes.condition('Monitored');
    const monitors = () => kubernetes.api.peekAll(SERVICE_MONITORS);

    it('gets a ServiceMonitor, again when it was deleted, and loses it', async () => {
      kubernetes.applyClusters(1, enabled);
      await clock.advance(10 * SECONDS);
      expect(monitors()).toHaveLength(1);
      expect(condition()).toMatchObject({ status: 'True', reason: 'Made' });
      kubernetes.api.remove(SERVICE_MONITORS, { namespace: 'demo', name: 'c0' });
      await clock.advance(6 * MINUTES);
      expect(monitors()).toHaveLength(1);
      kubernetes.applyClusters(1, {});
      await clock.advance(10 * SECONDS);
      expect(monitors()).toEqual([]);
      expect(condition()?.reason).toBe('Disabled');
    });

    it('is well, and says once that the kind is unknown, where it is', async () => {
      kubernetes.servesServiceMonitors = false;
      kubernetes.applyClusters(1, enabled);
      await clock.advance(30 * MINUTES);
      expect(condition()).toMatchObject({ status: 'False', reason: 'NotServed' });
      expect(kubernetes.settled()).toBe(1);
      const told = kubernetes.api
        .peekAll<EventObject>(EVENTS)
        .filter(({ reason }) => reason === 'ServiceMonitorNotServed');
      expect(told).toHaveLength(1);
      expect(told[0]?.series).toBeUndefined();
      kubernetes.servesServiceMonitors = true;
      await clock.advance(6 * MINUTES);
      expect(monitors()).toHaveLength(1);
    });
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

    it('grows them, and makes the StatefulSet anew under the same pods', async () => {
      const before = pods();
      // Another template at the same time must not carry the size: Kubernetes would refuse it.
      kubernetes.applyClusters(1, { storage: { size }, raft: { electionTimeout: '2s' } });
      await clock.advance(MINUTES);
      expect(sizes()).toEqual([size, size, size]);
      expect(claimSize()).toBe(size);
      expect(pods()).toEqual(before);
      expect(kubernetes.condition('StorageReady')?.status).toBe('True');
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
      expect(kubernetes.condition('StorageReady')?.reason).toBe('GrowthRefused');
      expect(kubernetes.condition('Stalled')?.message).toContain('must support resize');
      kubernetes.applyClusters(1, { replicas: 1, storage: { size } });
      await clock.advance(MINUTES);
      expect(kubernetes.cluster(0)?.status?.voters).toBe(1);
      kubernetes.volumesMayGrow = true;
      await clock.advance(10 * MINUTES);
      expect(sizes()[0]).toBe(size);
    });
  });
});
