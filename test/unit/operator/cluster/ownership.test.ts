import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../../operator/api/atomic-cluster.ts';
import { standingOf } from '../../../../operator/cluster/ownership.ts';
import type { KubernetesApi } from '../../../../operator/controller/api-client.ts';
import type {
  KubernetesObject,
  ObjectMeta,
  OwnerReference,
  ResourceType,
} from '../../../../operator/controller/kubernetes-object.ts';
import { commonLabels, LABELS } from '../../../../operator/resources/names.ts';
import {
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
  PODS,
  SECRETS,
  CLAIMS,
  SERVICE_ACCOUNTS,
  SERVICE_MONITORS,
  SERVICES,
  STATEFUL_SETS,
} from '../../../../operator/resources/resource-types.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { FakeKubernetes } from '../../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../../support/operator/running-operator.ts';
import { stepUntilSettled } from '../../../support/operator/settling.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const CLUSTER = { namespace: 'demo', name: 'c0' };

let clock: FakeClock;
let kubernetes: FakeKubernetes;
let operator: RunningOperator | undefined;

beforeEach(() => {
  clock = new FakeClock();
  kubernetes = new FakeKubernetes(clock);
});

afterEach(async () => {
  await operator?.stop();
  operator = undefined;
});

function start(api: KubernetesApi = kubernetes.api): void {
  operator = new RunningOperator({ api, clock, connect: kubernetes.members.connect });
}

async function settle(): Promise<void> {
  expect(await stepUntilSettled(kubernetes, clock)).toBe(1);
}

type Changed<T> = T & { readonly spec?: object };

/** Without its labels the operator hears nothing of it. */
function withoutLabels(object: KubernetesObject): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, labels: {} } };
}

describe('the standing of an object', () => {
  const owner: OwnerReference = {
    ...{ apiVersion: 'atomicraft.dev/v1alpha1', kind: 'AtomicCluster', name: 'c0' },
    ...{ uid: 'mine', controller: true },
  };
  const labels = commonLabels('c0');
  const other = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'other' };
  const deletionTimestamp = '2030-01-01T00:00:00Z';

  it.each([
    ['ours', 'we control it', { ownerReferences: [owner] }],
    ['ours', 'it has another owner too', { ownerReferences: [other, owner] }],
    ['adoptable', 'nobody controls it and it has our labels', { labels }],
    ['adoptable', 'its other owner does not control it', { labels, ownerReferences: [other] }],
    ['foreign', 'nobody controls it and it has no labels', {}],
    ['foreign', 'it has the labels of another cluster', { labels: commonLabels('c1') }],
    ['foreign', 'only one of our labels is there', { labels: { [LABELS.cluster]: 'c0' } }],
    [
      'foreign',
      'another controls it, whatever its labels',
      { labels, ownerReferences: [{ ...other, controller: true }] },
    ],
    [
      'leaving',
      'a former cluster of our name controls it',
      { labels, ownerReferences: [{ ...owner, uid: 'former' }] },
    ],
    ['leaving', 'it is being deleted', { ownerReferences: [owner], deletionTimestamp }],
  ] as const)('is %s when %s', (standing, _, metadata) => {
    expect(standingOf({ metadata: { ...CLUSTER, ...metadata } }, owner)).toBe(standing);
  });
});

const FOREIGN: readonly (readonly [string, ResourceType, Changed<KubernetesObject>])[] = [
  ['Service', SERVICES, { metadata: CLUSTER, spec: { selector: { app: 'web' } } }],
  ['ServiceAccount', SERVICE_ACCOUNTS, { metadata: CLUSTER }],
  ['PodDisruptionBudget', DISRUPTION_BUDGETS, { metadata: CLUSTER, spec: { maxUnavailable: 1 } }],
  ['NetworkPolicy', NETWORK_POLICIES, { metadata: CLUSTER, spec: { podSelector: {} } }],
];

describe.each(FOREIGN)("somebody else's %s", (kind, type, object) => {
  it('stays as it is, outlives the cluster, and is told of', async () => {
    const before = kubernetes.api.put(type, object);
    start();
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    expect(kubernetes.condition('Stalled')).toMatchObject({
      status: 'True',
      reason: 'ForeignObject',
    });
    expect(kubernetes.condition('Stalled')?.message).toContain(`${kind} demo/c0`);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(3);
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER);
    await clock.advance(10 * SECOND_MS);
    expect(kubernetes.api.peek(type, CLUSTER)).toEqual(before);
  });

  it('makes way, and the cluster is well', async () => {
    kubernetes.api.put(type, object);
    start();
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    kubernetes.api.remove(type, CLUSTER);
    await settle();
    expect(kubernetes.api.peek(type, CLUSTER)?.metadata.ownerReferences).toHaveLength(1);
    expect(kubernetes.condition('Stalled')?.status).toBe('False');
  });

  it('that takes the name before ours is made stays as it is', async () => {
    let isFirst = true;
    const api = new Proxy(kubernetes.api, {
      get: (target, name: keyof KubernetesApi) => {
        if (name !== 'apply') return target[name].bind(target);
        return (...args: Parameters<KubernetesApi['apply']>) => {
          const [applied, { metadata }] = args;
          if (isFirst && applied === type && metadata.name === CLUSTER.name) {
            isFirst = false;
            kubernetes.api.put(type, object);
          }
          return target.apply(...args);
        };
      },
    });
    start(api);
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    expect(isFirst).toBe(false);
    expect(kubernetes.api.peek(type, CLUSTER)?.metadata.ownerReferences).toBeUndefined();
    expect(kubernetes.condition('Stalled')?.reason).toBe('ForeignObject');
  });

  it('is told of by one event, and asked for seldom', async () => {
    kubernetes.api.put(type, object);
    start();
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    const { length } = kubernetes.api.requests;
    await clock.advance(MINUTE_MS);
    const asked = kubernetes.api.requests.slice(length).filter(({ verb }) => verb !== 'watch');
    expect(asked.length).toBeLessThanOrEqual(14);
    expect(kubernetes.events('ForeignObject').map(({ series }) => series)).toEqual([undefined]);
  });
});

describe('an object of ours', () => {
  it('that lost its labels gets them back', async () => {
    start();
    kubernetes.applyClusters(1, {});
    await settle();
    const live = kubernetes.api.peek(SERVICES, CLUSTER) ?? { metadata: CLUSTER };
    kubernetes.api.put(SERVICES, withoutLabels(live));
    await clock.advance(10 * SECOND_MS);
    expect(kubernetes.api.peek(SERVICES, CLUSTER)?.metadata.labels).toEqual(commonLabels('c0'));
    await settle();
  });

  it('may have further owners', async () => {
    start();
    kubernetes.applyClusters(1, {});
    await settle();
    const live = kubernetes.api.peek(SERVICES, CLUSTER) ?? { metadata: CLUSTER };
    const metadata: ObjectMeta = live.metadata;
    const more = { apiVersion: 'v1', kind: 'ConfigMap', name: 'other', uid: 'other' };
    const owners = [...(metadata.ownerReferences ?? []), more];
    kubernetes.api.put(SERVICES, { ...live, metadata: { ...metadata, ownerReferences: owners } });
    await clock.advance(MINUTE_MS);
    expect(kubernetes.api.peek(SERVICES, CLUSTER)?.metadata.ownerReferences).toEqual(owners);
  });

  it('loses an annotation that the spec no longer asks for', async () => {
    start();
    kubernetes.applyClusters(1, { service: { annotations: { zone: 'a' } } });
    await settle();
    kubernetes.applyClusters(1, { service: { annotations: { colour: 'red' } } });
    await clock.advance(10 * SECOND_MS);
    const { annotations } = kubernetes.api.peek(SERVICES, CLUSTER)?.metadata ?? {};
    expect(annotations).toEqual({ colour: 'red' });
  });
});

describe("somebody else's ServiceMonitor", () => {
  it('stays as it is, and is told of', async () => {
    const before = kubernetes.api.put(SERVICE_MONITORS, { metadata: CLUSTER });
    start();
    kubernetes.applyClusters(1, { monitoring: { serviceMonitor: 'Enabled' } });
    await settle();
    expect(kubernetes.condition('Monitored')).toMatchObject({
      status: 'False',
      reason: 'ForeignObject',
    });
    kubernetes.applyClusters(1, {});
    await settle();
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER);
    await clock.advance(10 * SECOND_MS);
    expect(kubernetes.api.peek(SERVICE_MONITORS, CLUSTER)).toEqual(before);
  });
});

describe('a StatefulSet without our labels', () => {
  type SetObject = KubernetesObject & { readonly spec?: { readonly replicas?: number } };

  it("is somebody else's: it stays as it is, and is told of once", async () => {
    const foreign: SetObject = { metadata: CLUSTER, spec: { replicas: 0 } };
    const before = kubernetes.api.put(STATEFUL_SETS, foreign);
    start();
    kubernetes.applyClusters(1, {});
    await clock.advance(10 * MINUTE_MS);
    expect(kubernetes.condition('Stalled')).toMatchObject({
      status: 'True',
      reason: 'ForeignObject',
    });
    expect(kubernetes.condition('Stalled')?.message).toContain('StatefulSet demo/c0');
    expect(kubernetes.events('ForeignObject').map(({ series }) => series)).toEqual([undefined]);
    expect(kubernetes.api.peek(STATEFUL_SETS, CLUSTER)).toEqual(before);
    kubernetes.api.remove(STATEFUL_SETS, CLUSTER);
    await settle();
  });

  it('gets them back when it is ours', async () => {
    start();
    kubernetes.applyClusters(1, {});
    await settle();
    const live = kubernetes.api.peek(STATEFUL_SETS, CLUSTER);
    kubernetes.api.put(STATEFUL_SETS, withoutLabels(live ?? { metadata: CLUSTER }));
    kubernetes.applyClusters(1, { replicas: 5 });
    await settle();
    expect(kubernetes.cluster(0)?.status?.voters).toBe(5);
    expect(kubernetes.api.peek(STATEFUL_SETS, CLUSTER)?.metadata.uid).toBe(live?.metadata.uid);
  });
});

describe('what a deleted cluster left behind', () => {
  async function madeAgain(spec: object = {}): Promise<void> {
    start();
    kubernetes.applyClusters(1, {});
    await settle();
    const pods = kubernetes.api.peekAll(PODS).map(({ metadata }) => metadata.uid);
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER, 'Orphan');
    await clock.advance(5 * SECOND_MS);
    kubernetes.applyClusters(1, spec);
    await settle();
    expect(kubernetes.api.peekAll(PODS).map(({ metadata }) => metadata.uid)).toEqual(pods);
  }

  it.each([
    ['StatefulSet', STATEFUL_SETS, CLUSTER],
    ['Service', SERVICES, CLUSTER],
  ] as const)('has a new owner: the %s', async (_, type, key) => {
    await madeAgain();
    const owners = kubernetes.api.peek(type, key)?.metadata.ownerReferences;
    expect(owners?.map(({ uid }) => uid)).toEqual([kubernetes.cluster(0)?.metadata.uid]);
  });

  it('goes with the new one, but for the Secret, which the operator may not change', async () => {
    await madeAgain();
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER);
    await clock.advance(10 * SECOND_MS);
    for (const type of [STATEFUL_SETS, SERVICES, SERVICE_ACCOUNTS]) {
      expect(kubernetes.api.peekAll(type)).toEqual([]);
    }
    expect(kubernetes.api.peekAll(SECRETS)).toHaveLength(1);
  });

  it('stays as it is while the new one is paused', async () => {
    start();
    kubernetes.applyClusters(1, {});
    await settle();
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER, 'Orphan');
    kubernetes.applyClusters(1, { paused: true });
    await clock.advance(MINUTE_MS);
    expect(kubernetes.api.peek(SERVICES, CLUSTER)?.metadata.ownerReferences).toBeUndefined();
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    expect(kubernetes.api.peek(SERVICES, CLUSTER)?.metadata.ownerReferences).toHaveLength(1);
  });

  it('is waited for, without an alarm, while it is about to go', async () => {
    const former = {
      ...{ apiVersion: 'atomicraft.dev/v1alpha1', kind: 'AtomicCluster', name: 'c0' },
      ...{ uid: 'former', controller: true },
    };
    const metadata = { ...CLUSTER, labels: commonLabels('c0'), ownerReferences: [former] };
    kubernetes.api.put(SERVICES, { metadata });
    start();
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    expect(kubernetes.condition('Stalled')?.status).toBe('False');
    expect(kubernetes.condition('Reconciling')?.message).toContain('a former Service demo/c0');
    kubernetes.api.remove(SERVICES, CLUSTER);
    await settle();
  });

  function ownedBy(owner: string | undefined) {
    return [STATEFUL_SETS, CLAIMS, SERVICES, SERVICE_ACCOUNTS].flatMap((type) =>
      kubernetes.api
        .peekAll(type)
        .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === owner))
        .map((object) => ({ type, object })),
    );
  }

  it.each(['Retain', 'Delete'] as const)(
    'is not taken over before Kubernetes has collected it (%s)',
    async (whenDeleted) => {
      start();
      kubernetes.applyClusters(1, { storage: { retention: { whenDeleted } } });
      await settle();
      const former = ownedBy(kubernetes.cluster(0)?.metadata.uid);
      kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER, 'Orphan');
      // As if the garbage collector had not come yet.
      for (const { type, object } of former) {
        const { ownerReferences = [] } = object.metadata;
        const live = kubernetes.api.peek(type, object.metadata) ?? object;
        kubernetes.api.put(type, { ...live, metadata: { ...live.metadata, ownerReferences } });
      }
      const { length } = kubernetes.api.writes;
      kubernetes.applyClusters(1, { replicas: 1, raft: { electionTimeout: '3s' } });
      await clock.advance(5 * SECOND_MS);
      const written = kubernetes.api.writes.slice(length).map(({ type }) => type.kind);
      expect(new Set(written)).toEqual(new Set(['AtomicCluster']));
      const { clusterID, lineage } = kubernetes.cluster(0)?.status ?? {};
      expect({ clusterID, lineage }).toEqual({});
      expect(kubernetes.condition('Ready')?.message).toContain('a former StatefulSet demo/c0');
      for (const { type, object } of former) kubernetes.api.remove(type, object.metadata);
      await clock.advance(MINUTE_MS);
      expect(kubernetes.condition('Ready')?.message).not.toContain('a former StatefulSet');
    },
  );
});
