import { beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../../operator/api/atomic-cluster.ts';
import type { Action } from '../../../../operator/cluster/action.ts';
import {
  execute,
  StaleObservation,
  type ExecutionTools,
} from '../../../../operator/cluster/execute.ts';
import type { ClaimObject } from '../../../../operator/cluster/kubernetes-objects.ts';
import type { Observation } from '../../../../operator/cluster/observe.ts';
import { Replicas, type Replica } from '../../../../operator/cluster/replicas.ts';
import type { KubernetesObject } from '../../../../operator/controller/kubernetes-object.ts';
import { authSecretName, commonLabels, peerId } from '../../../../operator/resources/names.ts';
import {
  CLAIMS,
  CONTROLLER_REVISIONS,
  PODS,
  SECRETS,
  STATEFUL_SETS,
} from '../../../../operator/resources/resource-types.ts';
import { podTemplate } from '../../../../operator/resources/stateful-set.ts';
import { FakeApiServer, type FakeRequest } from '../../../support/kubernetes/fake-api-server.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { claim, observed, statefulSet } from '../../../support/operator/observed.ts';

const CLUSTER = { namespace: 'demo', name: 'c' };
const POD = { namespace: 'demo', name: 'c-1' };
const CLAIM = { namespace: 'demo', name: 'data-c-1' };
const OWNER = { apiVersion: 'v1', kind: 'AtomicCluster', name: 'c', uid: 'uid', controller: true };
const KINDS = [ATOMIC_CLUSTER, STATEFUL_SETS, PODS, CLAIMS, SECRETS, CONTROLLER_REVISIONS].map(
  (type) => ({ ...type, hasStatus: [ATOMIC_CLUSTER, STATEFUL_SETS].includes(type) }),
);

type SetObject = KubernetesObject & {
  readonly spec: { readonly replicas?: number; readonly template: { readonly spec: object } };
};

/** What was asked of servers: method and arguments. */
let asked: unknown[][];
/** What others do right before a request takes effect. */
let meanwhile: (request: FakeRequest) => void;
let api: FakeApiServer;

beforeEach(() => {
  asked = [];
  meanwhile = () => undefined;
  api = new FakeApiServer({
    ...{ clock: new FakeClock(), kinds: KINDS },
    before: (request) => {
      meanwhile(request);
      return 'proceed';
    },
  });
  api.put(ATOMIC_CLUSTER, { metadata: CLUSTER });
  const owned = { labels: commonLabels('c'), ownerReferences: [OWNER] };
  const foreign = { containers: [{ name: 'server' }], nodeSelector: { disk: 'ssd' } };
  const set: SetObject = {
    metadata: { ...CLUSTER, ...owned },
    spec: { replicas: 3, template: { spec: foreign } },
  };
  api.put(STATEFUL_SETS, set);
  api.put(PODS, { metadata: POD });
  api.put(CLAIMS, { metadata: CLAIM });
});

function seen(more: Partial<Observation> = {}): Observation {
  const seen = observed(3);
  const template = podTemplate({ ...CLUSTER, spec: seen.spec, image: 'servers:2' });
  const addresses = new Map([0, 1, 2].map((at) => [at, `10.0.0.${String(at)}`]));
  const uid = api.peek(STATEFUL_SETS, CLUSTER)?.metadata.uid ?? '';
  return { ...seen, statefulSet: statefulSet(3, { uid }), template, addresses, ...more };
}

function tools(more: Partial<ExecutionTools> = {}): ExecutionTools {
  const replica = new Proxy({} as Replica, {
    get: (_, method) =>
      method === Symbol.dispose
        ? undefined
        : (...args: unknown[]) => Promise.resolve(asked.push([method, ...args])),
  });
  return {
    ...{ api, owner: OWNER, instance: 'me', replicas: new Replicas(() => replica) },
    fenceClaimed: (fence) => asked.push(['fenceClaimed', fence]),
    resourceVersions: {
      cluster: api.peek(ATOMIC_CLUSTER, CLUSTER)?.metadata.resourceVersion,
      statefulSet: api.peek(STATEFUL_SETS, CLUSTER)?.metadata.resourceVersion,
    },
    ...more,
  };
}

const uidOf = (type: typeof PODS, key: typeof POD): string =>
  api.peek(type, key)?.metadata.uid ?? '';
const set = (): SetObject | undefined => api.peek<SetObject>(STATEFUL_SETS, CLUSTER);

/** One of each kind, as a plan would have it. */
function actions(): readonly Action[] {
  const pod = { ordinal: 1, uid: uidOf(PODS, POD) };
  const claim = { ordinal: 1, uid: uidOf(CLAIMS, CLAIM) };
  const guard = { configurationIndex: 10, fence: 1 };
  return [
    { type: 'recordClusterId' },
    { type: 'createStatefulSet', replicas: 3 },
    { type: 'setReplicas', replicas: 5 },
    { type: 'bootstrap', clusterId: 'id' },
    { type: 'claimFence', fence: 2, configurationIndex: 10 },
    { type: 'joinFresh', ordinal: 1, incarnation: 'disk-1' },
    { type: 'changePeers', voters: [0, 1], ...guard },
    { type: 'transferLeader', to: 1 },
    { type: 'applyTemplate' },
    { type: 'rollBack', revision: 'rev-1', failedTemplate: 'hash-2' },
    { type: 'evictPod', ...pod },
    { type: 'deletePod', ...pod },
    { type: 'quarantineClaim', ...claim },
    { type: 'releaseClaim', ...claim },
    { type: 'deleteClaim', ...claim },
    { type: 'growClaim', ...claim, size: '5Gi' },
    { type: 'orphanPods', uid: uidOf(STATEFUL_SETS, CLUSTER) },
  ];
}

describe('no action is carried out', () => {
  it.each([
    ['the AtomicCluster has changed', ATOMIC_CLUSTER],
    ['the StatefulSet has changed', STATEFUL_SETS],
  ])('when %s since the look', async (_, type) => {
    for (const action of actions()) {
      const stale = tools();
      const live = api.peek(type, CLUSTER) ?? { metadata: CLUSTER };
      const annotations = { before: action.type };
      api.put(type, { ...live, metadata: { ...live.metadata, annotations } });
      await expect(execute(action, seen(), stale)).rejects.toBeInstanceOf(StaleObservation);
    }
    expect({ writes: api.writes, asked }).toEqual({ writes: [], asked: [] });
  });
});

describe('an object', () => {
  it.each(['evictPod', 'deletePod', 'quarantineClaim', 'releaseClaim', 'deleteClaim', 'growClaim'])(
    'that replaced the one that was seen is left alone by %s',
    async (type) => {
      const action = actions().find((one) => one.type === type);
      if (action === undefined) throw new Error(`no action ${type}`);
      for (const [kind, key] of [
        [PODS, POD],
        [CLAIMS, CLAIM],
      ] as const) {
        api.remove(kind, key);
        api.put(kind, { metadata: key });
      }
      const before = [api.peek(PODS, POD), api.peek(CLAIMS, CLAIM)];
      await expect(execute(action, seen(), tools())).rejects.toThrow();
      expect([api.peek(PODS, POD), api.peek(CLAIMS, CLAIM)]).toEqual(before);
    },
  );
});

describe('a volume', () => {
  it('is not grown when another one was asked to grow since the look', async () => {
    const claims = [1, 2].map((at) => {
      const key = { namespace: 'demo', name: `data-c-${String(at)}` };
      const spec = { resources: { requests: { storage: '1Gi' } } };
      const object: ClaimObject = { metadata: { ...key, labels: commonLabels('c') }, spec };
      return claim(at, { uid: api.put(CLAIMS, object).metadata.uid ?? '' });
    });
    const grow = (ordinal: number): Action => {
      const { uid = '' } = claims.find((one) => one.ordinal === ordinal) ?? {};
      return { type: 'growClaim', ordinal, uid, size: '5Gi' };
    };
    await execute(grow(1), seen({ claims }), tools());
    const second = execute(grow(2), seen({ claims }), tools());
    await expect(second).rejects.toBeInstanceOf(StaleObservation);
    const sizes = api.peekAll<ClaimObject>(CLAIMS).map(({ spec }) => spec?.resources?.requests);
    expect(sizes).toEqual([{ storage: '5Gi' }, { storage: '1Gi' }]);
  });
});

describe('the StatefulSet', () => {
  it.each(['setReplicas', 'applyTemplate', 'orphanPods'])(
    'that changes right before the effect of %s stays as it is then',
    async (type) => {
      const action = actions().find((one) => one.type === type);
      if (action === undefined) throw new Error(`no action ${type}`);
      let changed: unknown;
      meanwhile = ({ verb }) => {
        if (verb === 'get' || changed !== undefined) return;
        const live = set() ?? { metadata: CLUSTER };
        const annotations = { changed: 'meanwhile' };
        const metadata = { ...live.metadata, annotations };
        changed = api.put(STATEFUL_SETS, { ...live, metadata });
      };
      await expect(execute(action, seen(), tools())).rejects.toBeInstanceOf(StaleObservation);
      expect(changed).toBeDefined();
      expect(set()).toEqual(changed);
    },
  );

  it('gets the template as it is to be and nothing beside it, and keeps its size', async () => {
    await execute({ type: 'applyTemplate' }, seen(), tools());
    const { template, replicas } = set()?.spec ?? {};
    expect(template).toEqual(seen().template);
    expect(replicas).toBe(3);
  });

  it('is created with the number of pods that its members need, and a secret', async () => {
    api.remove(STATEFUL_SETS, CLUSTER);
    const gone = seen({ statefulSet: undefined });
    await execute({ type: 'createStatefulSet', replicas: 5 }, gone, tools());
    expect(set()?.spec.replicas).toBe(5);
    const key = { namespace: 'demo', name: authSecretName('c') };
    const secret = api.peek(SECRETS, key);
    expect(secret).toBeDefined();
    api.remove(STATEFUL_SETS, CLUSTER);
    await execute({ type: 'createStatefulSet', replicas: 5 }, gone, tools());
    expect(api.peek(SECRETS, key)).toEqual(secret);
  });
});

describe('a template that failed', () => {
  const action = { type: 'rollBack', revision: 'c-rev', failedTemplate: 'hash-2' } as const;

  it('is noted before the one before it is put back', async () => {
    const kept = { metadata: {}, spec: { containers: [{ name: 'server', image: 'servers:1' }] } };
    const data = { spec: { template: { ...kept, $patch: 'replace' } } };
    const revision: KubernetesObject & { readonly data: object } = {
      metadata: { namespace: 'demo', name: 'c-rev' },
      data,
    };
    api.put(CONTROLLER_REVISIONS, revision);
    const noted: unknown[] = [];
    meanwhile = ({ verb, type }) => {
      type Cluster = KubernetesObject & { readonly status?: { readonly failedTemplate?: string } };
      const status = api.peek<Cluster>(ATOMIC_CLUSTER, CLUSTER)?.status;
      if (verb === 'patch' && type.plural === STATEFUL_SETS.plural)
        noted.push(status?.failedTemplate);
    };
    await execute(action, seen(), tools());
    expect(noted).toEqual(['hash-2']);
    expect(set()?.spec.template).toEqual(kept);
  });

  it('is told of when the one before it does not exist any more', async () => {
    await expect(execute(action, seen(), tools())).rejects.toThrow('c-rev does not exist any more');
  });
});

describe('the leader', () => {
  const change = (voters: readonly number[], configurationIndex = 10): Action => ({
    ...{ type: 'changePeers', voters, configurationIndex, fence: 7 },
  });

  it('is asked for another membership only if it is still the one that was seen', async () => {
    await execute(change([0, 1]), seen(), tools());
    const peers = [0, 1].map((ordinal) => peerId(CLUSTER, ordinal));
    expect(asked).toEqual([
      ...[['changePeers', peers, expect.objectContaining({ fence: 7 }), expect.any(Number)]],
    ]);
    expect(asked[0]?.[2]).toMatchObject({ expectedConfigurationIndex: 10 });
  });

  it('knows a change that it was asked for before from another one', async () => {
    for (const one of [change([0, 1]), change([0, 1]), change([0]), change([0, 1], 11)])
      await execute(one, seen(), tools());
    const ids = asked.map(([, , guard]) => (guard as { readonly operationId: string }).operationId);
    expect(ids[1]).toBe(ids[0]);
    expect(new Set(ids).size).toBe(3);
  });

  it('accepts a fence before it counts', async () => {
    await execute({ type: 'claimFence', fence: 2, configurationIndex: 10 }, seen(), tools());
    const claim = { fence: 2, expectedConfigurationIndex: 10, operationId: 'claim-me-2' };
    expect(asked).toEqual([
      ['claimOperator', claim, expect.any(Number)],
      ['fenceClaimed', 2],
    ]);
  });

  it('is not asked when nobody knows where it is', async () => {
    const lost = execute(change([0, 1]), seen({ addresses: new Map() }), tools());
    await expect(lost).rejects.toBeInstanceOf(StaleObservation);
  });
});

describe('a member', () => {
  it('puts aside only the disk that was seen', async () => {
    const action = { type: 'joinFresh', ordinal: 1, incarnation: 'disk-1' } as const;
    await execute(action, seen(), tools());
    expect(asked).toEqual([['joinFresh', peerId(CLUSTER, 1), 'disk-1', expect.any(Number)]]);
  });
});
