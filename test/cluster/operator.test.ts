import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClusterUnderTest } from './support/cluster-under-test.ts';
import { installDefinition } from './support/install.ts';
import { apply, refusal, restrictedNamespace } from './support/kubectl.ts';
import { startLoadPod, underLoad } from './support/load.ts';
import { OperatorProcess } from './support/operator-process.ts';

const NAMESPACE = 'operator-test';
const MINUTES = 60_000;

const cluster = new ClusterUnderTest(NAMESPACE);
const operator = new OperatorProcess('operator');

const spec = { replicas: 1, raft: { electionTimeout: '1s' } };

beforeAll(async () => {
  await installDefinition();
  await apply(restrictedNamespace(NAMESPACE));
  operator.start();
  await cluster.apply(spec);
  await cluster.ready(1);
  await startLoadPod(cluster);
}, 5 * MINUTES);

afterAll(async () => {
  await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=true');
  await operator.stop();
}, 5 * MINUTES);

describe('an AtomicCluster on a real cluster', () => {
  it(
    'counts soon after it is applied',
    async () => {
      expect(await cluster.operation('counters-0', 'exchange', '7', '42')).toBe('0');
      expect(await cluster.operation('counters-0', 'get', '7')).toBe('42');
      expect(await cluster.status()).toMatchObject({
        voters: 1,
        leader: 'counters-0',
        faultTolerance: 0,
        quorum: 1,
      });
    },
    5 * MINUTES,
  );

  it(
    'grows from 1 to 3 to 5 and shrinks to 3 under load',
    async () => {
      for (const replicas of [3, 5, 3]) {
        await underLoad(cluster, `scale to ${String(replicas)}`, async () => {
          await cluster.scale(replicas);
          await cluster.ready(replicas);
        });
      }
      expect(await cluster.operation('counters-2', 'get', '7')).toBe('42');
    },
    10 * MINUTES,
  );

  it(
    'takes a member back on an ordinal that was scaled away, with a new disk identity',
    async () => {
      const before = (await cluster.status()).members ?? [];
      await cluster.scale(5);
      await cluster.ready(5);
      const after = (await cluster.status()).members ?? [];
      expect(after).toHaveLength(5);
      expect(after.slice(0, 3)).toEqual(before);
      expect(new Set(after.map(({ incarnation }) => incarnation)).size).toBe(5);
      const aside = await cluster.kubectl(
        'exec',
        'counters-4',
        '--',
        'ls',
        '/data/atomic/quarantine',
      );
      expect(aside).not.toBe('');
      await cluster.scale(3);
      await cluster.ready(3);
    },
    10 * MINUTES,
  );

  it(
    'removes a leader that is scaled away only after leadership has moved',
    async () => {
      await cluster.scale(5);
      await cluster.ready(5);
      await cluster.lead(4);
      await underLoad(cluster, 'scale the leader away', async () => {
        await cluster.scale(3);
        await cluster.ready(3);
      });
      expect(await cluster.leader()).not.toMatch(/-[34]$/);
    },
    10 * MINUTES,
  );
});

describe('a member that fails', () => {
  it(
    'is missed for a moment when the pod of the leader is deleted',
    async () => {
      const leader = await cluster.leader();
      await underLoad(cluster, 'delete the leader', async () => {
        await cluster.kubectl('delete', 'pod', leader, '--wait=true');
        await cluster.ready(3);
      });
    },
    10 * MINUTES,
  );

  it(
    'is started again when its process is killed',
    async () => {
      const restarts = async (): Promise<number> =>
        (await cluster.pod(1))?.status.containerStatuses?.[0]?.restartCount ?? 0;
      const before = await restarts();
      await underLoad(cluster, 'kill -9 a server', async () => {
        await cluster.kill('counters-1', 'KILL');
        await cluster.eventually('it was started again', async () => (await restarts()) > before);
        await cluster.ready(3);
      });
    },
    10 * MINUTES,
  );

  it(
    'is started again by its liveness probe when it freezes',
    async () => {
      const restarts = async (): Promise<number> =>
        (await cluster.pod(2))?.status.containerStatuses?.[0]?.restartCount ?? 0;
      const before = await restarts();
      await underLoad(cluster, 'freeze a server', async () => {
        await cluster.kill('counters-2', 'STOP');
        await cluster.eventually('it was started again', async () => (await restarts()) > before);
        await cluster.ready(3);
      });
    },
    10 * MINUTES,
  );

  it(
    'heals when somebody scales the StatefulSet to nothing by hand',
    async () => {
      await cluster.kubectl('scale', 'sts/counters', '--replicas=0');
      // The operator may be faster than the StatefulSet's controller: then no pod ends at all.
      await cluster.eventually('the StatefulSet has three replicas again', async () => {
        const set = ['get', 'sts/counters', '-o=jsonpath={.spec.replicas}'];
        return (await cluster.kubectl(...set)) === '3';
      });
      await cluster.ready(3);
      expect(await cluster.valueOf('7')).toBe('42');
    },
    10 * MINUTES,
  );
});

describe('a rolling change', () => {
  it(
    'restarts all members, the leader last, while clients are served',
    async () => {
      const uids = async (): Promise<readonly (string | undefined)[]> =>
        Promise.all([0, 1, 2].map(async (at) => (await cluster.pod(at))?.metadata.uid));
      const before = await uids();
      await underLoad(cluster, 'rolling upgrade', async () => {
        await cluster.patch({ version: 'bed-next' });
        await cluster.eventually('the roll begins', async () => {
          return (await cluster.condition('Ready')) === 'False/Rolling';
        });
        await cluster.ready(3);
      });
      const after = await uids();
      expect(after.filter((uid) => before.includes(uid))).toEqual([]);
      expect((await cluster.pod(0))?.spec.containers[0]?.image).toMatch(/:bed-next$/);
    },
    10 * MINUTES,
  );

  it(
    'takes a broken image back after its first pod, and goes on once the spec is right',
    async () => {
      await cluster.patch({ updateStrategy: { canaryDeadline: '10s' } });
      await cluster.ready(3);
      await underLoad(cluster, 'broken image', async () => {
        await cluster.patch({ version: 'does-not-exist' });
        await cluster.conditionIs('Stalled', 'True/RolloutFailed');
        await cluster.eventually('all members run the good image', async () => {
          const { readyReplicas, updatedReplicas } = await cluster.status();
          return readyReplicas === 3 && updatedReplicas === 3;
        });
      });
      const images = await cluster.kubectl(
        ...['get', 'pods', '-l', 'atomicraft.dev/cluster=counters'],
        '-o=jsonpath={.items[*].spec.containers[0].image}',
      );
      expect(images).not.toContain('does-not-exist');
      await cluster.patch({ version: 'bed' });
      await cluster.conditionIs('Stalled', 'False/Progressing');
      await cluster.ready(3);
    },
    10 * MINUTES,
  );
});

describe('a lost disk', () => {
  it(
    'costs a member its identity: it is removed and joins anew',
    async () => {
      const before = await cluster.incarnation(1);
      await underLoad(cluster, 'replace a lost disk', async () => {
        await cluster.kubectl('exec', 'counters-1', '--', 'rm', '-rf', '/data/atomic');
        await cluster.kill('counters-1', 'KILL');
        await cluster.conditionIs('Ready', 'False/Replacing');
        await cluster.replaced(1, before);
      });
      expect(await cluster.operation('counters-1', 'get', '7')).toBe('42');
    },
    10 * MINUTES,
  );
});

describe('Services and volumes', () => {
  it(
    'name the leader and the followers, wherever leadership goes',
    async () => {
      const behind = async (service: string): Promise<string> =>
        cluster.kubectl(
          ...['get', 'endpointslices', '-l', `kubernetes.io/service-name=${service}`],
          '-o=jsonpath={.items[*].endpoints[*].targetRef.name}',
        );
      for (const ordinal of [0, 2]) {
        await cluster.lead(ordinal);
        await cluster.eventually(`counters-${String(ordinal)} is behind the Service`, async () => {
          return (await behind('counters-leader')) === `counters-${String(ordinal)}`;
        });
        const followers = ['counters-0', 'counters-1', 'counters-2'];
        followers.splice(ordinal, 1);
        await cluster.eventually('the others are behind the other', async () => {
          return (await behind('counters-read')).split(' ').sort().join() === followers.join();
        });
      }
      // Followers ask the leader how far they must be: what they answer is no older.
      const conf = `--conf=counters-read.${NAMESPACE}.svc:8100`;
      expect(await cluster.operation('counters-0', 'get', '7', conf)).toBe('42');
    },
    10 * MINUTES,
  );

  it(
    'grow while the members go on, and new members get volumes of the new size',
    async () => {
      const pods = async (): Promise<string> =>
        cluster.kubectl('get', 'pods', '-o=jsonpath={.items[*].metadata.uid}');
      const before = await pods();
      const claims = async (): Promise<string> =>
        cluster.kubectl(
          ...['get', 'pvc', '-l', 'atomicraft.dev/cluster=counters'],
          '-o=jsonpath={.items[*].status.capacity.storage}',
        );
      await underLoad(cluster, 'grow the volumes', async () => {
        await cluster.patch({ storage: { size: '2Gi' } });
        await cluster.eventually('the StatefulSet has the new size', async () => {
          const path =
            '-o=jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}';
          const size = await cluster.kubectl('get', 'sts/counters', path, '--ignore-not-found');
          return size === '2Gi';
        });
        await cluster.ready(3);
      });
      expect(new Set((await claims()).split(' ').slice(0, 3))).toEqual(new Set(['2Gi']));
      expect(await pods()).toBe(before);
    },
    10 * MINUTES,
  );
});

describe('hibernation and deletion', () => {
  it(
    'sleeps without pods and wakes with all it knew',
    async () => {
      await cluster.patch({ hibernate: true });
      await cluster.conditionIs('Hibernated', 'True/Hibernated');
      await cluster.patch({ hibernate: false });
      await cluster.ready(3);
      expect(await cluster.valueOf('7')).toBe('42');
    },
    10 * MINUTES,
  );

  it(
    'keeps the volumes of a deleted cluster and gives them back to who asks for them',
    async () => {
      const { clusterID = '' } = await cluster.status();
      await cluster.kubectl('delete', 'ac', 'counters', '--wait=true');
      await cluster.eventually('the pods are gone', async () => {
        const pods = await cluster.kubectl(
          ...['get', 'pods', '-l', 'atomicraft.dev/cluster=counters', '-o=name'],
        );
        return pods === '';
      });
      await cluster.apply({ ...spec, replicas: 3, storage: { size: '2Gi' } });
      await cluster.conditionIs('Stalled', 'True/ForeignDisks');
      const stalled = (await cluster.status()).conditions?.find(({ type }) => type === 'Stalled');
      expect(stalled?.message).toContain(`atomicraft.dev/adopt-cluster-id=${clusterID}`);
      await cluster.kubectl(
        'annotate',
        'ac/counters',
        `atomicraft.dev/adopt-cluster-id=${clusterID}`,
      );
      await cluster.ready(3);
      expect(await cluster.valueOf('7')).toBe('42');
    },
    10 * MINUTES,
  );
});

describe('bad input', () => {
  const bad = (fields: object): object => ({
    apiVersion: 'atomicraft.dev/v1alpha1',
    kind: 'AtomicCluster',
    metadata: { name: 'bad', namespace: NAMESPACE },
    spec: fields,
  });

  it.each([
    ['no members', { replicas: 0 }, 'replicas 0 is not a size: set spec.hibernate: true'],
    ['too many members', { replicas: 11 }, 'spec.replicas'],
    ['an unknown field', { replicaCount: 3 }, 'unknown field "spec.replicaCount"'],
    ['a bad duration', { raft: { electionTimeout: '1 second' } }, 'spec.raft.electionTimeout'],
    ['a hasty election', { raft: { electionTimeout: '5ms' } }, 'between 100ms and 1m'],
    ['a roll that has no time', { updateStrategy: { canaryDeadline: '0s' } }, '10s and 24h'],
    ['an endless stop', { lifecycle: { drainTimeout: '11m' } }, 'between 0s and 10m'],
    ['a snapshot in a year', { raft: { snapshotInterval: '8760h' } }, 'between 0s and 240h'],
    ['a bad size', { storage: { size: 'much' } }, 'spec.storage.size'],
  ])('refuses %s', async (_name, fields, expected) => {
    const said = await refusal(bad(fields), 'apply', '--dry-run=server', '-f', '-');
    expect(said).toContain(expected);
  });

  it.each([
    ['is too long for host names', 'c'.repeat(41), 'at most 40'],
    ['Kubernetes has a Service of', 'kubernetes', 'names of objects of Kubernetes itself'],
    ['Kubernetes has an account of', 'default', 'names of objects of Kubernetes itself'],
  ])('refuses a name that %s', async (_what, name, expected) => {
    const object = { ...bad({}), metadata: { name, namespace: NAMESPACE } };
    expect(await refusal(object, 'apply', '--dry-run=server', '-f', '-')).toContain(expected);
  });

  it.each([
    ['a shrinking volume', { storage: { size: '1Mi' } }, 'a volume cannot shrink'],
    ['another storage class', { storage: { storageClassName: 'x' } }, 'storageClassName cannot'],
    ['another access mode', { storage: { accessMode: 'ReadWriteOncePod' } }, 'accessMode cannot'],
  ])('refuses %s of a cluster that exists', async (_name, fields, expected) => {
    const patch = JSON.stringify({ spec: fields });
    const args = ['patch', 'ac', 'counters', '-n', NAMESPACE, '--type=merge', '-p', patch];
    expect(await refusal({}, ...args)).toContain(expected);
  });
});
