import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../../operator/api/atomic-cluster.ts';
import { ClusterStores } from '../../../../operator/cluster/cluster-stores.ts';
import { FactMemory } from '../../../../operator/cluster/evidence.ts';
import { claimView } from '../../../../operator/cluster/kubernetes-view.ts';
import type { KubernetesApi } from '../../../../operator/controller/api-client.ts';
import type { KubernetesObject } from '../../../../operator/controller/kubernetes-object.ts';
import type { ConnectReplica, Replica } from '../../../../operator/cluster/replicas.ts';
import { ANNOTATIONS, commonLabels, PORTS } from '../../../../operator/resources/names.ts';
import { CLAIMS, PODS, STATEFUL_SETS } from '../../../../operator/resources/resource-types.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { FakeKubernetes } from '../../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../../support/operator/running-operator.ts';
import { stepUntilSettled } from '../../../support/operator/settling.ts';

const SECOND_MS = 1_000;
const CLUSTER = { namespace: 'demo', name: 'c0' };
const HOSTNAME = 'kubernetes.io/hostname';

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

function start(
  api: KubernetesApi = kubernetes.api,
  connect: ConnectReplica = kubernetes.members.connect,
): void {
  operator = new RunningOperator({ api, clock, connect });
}

async function settle(): Promise<void> {
  expect(await stepUntilSettled(kubernetes, clock)).toBe(1);
}

describe('volumes of another cluster', () => {
  it('are not deleted with one that never took them over', async () => {
    for (const ordinal of [0, 1, 2]) {
      const name = `data-c0-${String(ordinal)}`;
      const annotations = { [ANNOTATIONS.clusterId]: 'of-old' };
      const claim: KubernetesObject & { readonly spec: object; readonly status: object } = {
        metadata: { ...CLUSTER, name, labels: commonLabels('c0'), annotations },
        spec: { volumeName: name, resources: { requests: { storage: '1Gi' } } },
        status: { phase: 'Bound' },
      };
      kubernetes.api.put(CLAIMS, claim);
    }
    start();
    kubernetes.applyClusters(1, { storage: { retention: { whenDeleted: 'Delete' } } });
    await clock.advance(30 * SECOND_MS);
    expect(kubernetes.condition('Stalled')?.reason).toBe('ForeignDisks');
    kubernetes.api.remove(ATOMIC_CLUSTER, CLUSTER);
    await clock.advance(30 * SECOND_MS);
    expect(kubernetes.api.peekAll(CLAIMS)).toHaveLength(3);
  });
});

describe('a template', () => {
  it('is not put into a StatefulSet that is gone: that would create one for a single pod', async () => {
    let deletesFirst = false;
    const api = new Proxy(kubernetes.api, {
      get: (target, name: keyof KubernetesApi) => {
        if (name !== 'patch') return target[name].bind(target);
        return (...args: Parameters<KubernetesApi['patch']>) => {
          const [type] = args;
          if (deletesFirst && type === STATEFUL_SETS) {
            deletesFirst = false;
            kubernetes.api.remove(STATEFUL_SETS, CLUSTER, 'Orphan');
          }
          return target.patch(...args);
        };
      },
    });
    start(api);
    kubernetes.applyClusters(1, {});
    await settle();
    deletesFirst = true;
    kubernetes.applyClusters(1, { raft: { electionTimeout: '2s' } });
    await settle();
    expect(deletesFirst).toBe(false);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(3);
    expect(kubernetes.api.peekAll(PODS)).toHaveLength(3);
  });
});

describe('an address', () => {
  it('that another member has by now says nothing of the one who had it', async () => {
    const swapped = new Map<string, string>();
    const connect: ConnectReplica = (address, secret) => {
      const client = (at: string): Replica => kubernetes.members.connect(at, secret);
      return {
        ...client(address),
        status: (options) => client(swapped.get(address) ?? address).status(options),
      };
    };
    start(kubernetes.api, connect);
    kubernetes.applyClusters(1, {});
    await settle();
    const addressOf = (ordinal: number): string => {
      const key = { namespace: 'demo', name: `c0-${String(ordinal)}` };
      type Pod = KubernetesObject & { readonly status?: { readonly podIP?: string } };
      return `${kubernetes.api.peek<Pod>(PODS, key)?.status?.podIP ?? ''}:${String(PORTS.grpc)}`;
    };
    swapped.set(addressOf(1), addressOf(2)).set(addressOf(2), addressOf(1));
    await clock.advance(60 * SECOND_MS);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(3);
  });
});

describe('a node', () => {
  it.each([
    ['is there under another name than its host name', 'host-1.example', 'host-1', false],
    ['is gone when no host has the name', 'host-2.example', 'host-2', true],
  ])('%s', (_, name, host, lost) => {
    const stores = new ClusterStores({ clusterWide: true });
    stores.nodes?.set({ metadata: { name, labels: { [HOSTNAME]: host } } });
    const matchExpressions = [{ key: HOSTNAME, operator: 'In', values: ['host-1'] }];
    const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions }] } };
    stores.volumes?.set({ metadata: { name: 'volume' }, spec: { nodeAffinity } });
    stores.claims.set({
      metadata: { ...CLUSTER, name: 'data-c0-1', uid: 'claim', labels: commonLabels('c0') },
      spec: { volumeName: 'volume' },
      status: { phase: 'Bound' },
    });
    const objects = stores.objectsOf({ metadata: { ...CLUSTER, uid: 'cluster' } });
    const views = objects.claims.map((claim) => claimView(objects, claim)?.lost);
    expect(views).toEqual([lost]);
  });
});

describe('a fact', () => {
  it('has not held through a time in which nobody looked', () => {
    const memory = new FactMemory();
    const fact = new Set(['noLeader']);
    memory.note(fact, 0);
    expect(memory.note(fact, 5_000).get('noLeader')?.heldMs).toBe(5_000);
    expect(memory.note(fact, 305_000).get('noLeader')).toEqual({ heldMs: 0, passes: 1 });
  });
});
