import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClusterUnderTest } from './support/cluster-under-test.ts';
import { installDefinition } from './support/install.ts';
import { killing } from './support/killing.ts';
import { apply, restrictedNamespace } from './support/kubectl.ts';
import { startLoadPod, underLoad } from './support/load.ts';
import { OperatorProcess } from './support/operator-process.ts';

const NAMESPACE = 'faults-test';
const MINUTES = 60_000;

const cluster = new ClusterUnderTest(NAMESPACE);
/** Without a Lease, so that the next one goes on at once where the last one was killed. */
const operator = new OperatorProcess('operator-killed', ['--no-leader-elect']);
const patient = [new OperatorProcess('operator-a'), new OperatorProcess('operator-b')] as const;

const spec = { replicas: 3 };

type Operation = {
  readonly name: string;
  readonly kills: number;
  /** What a user does or a fault is, up to the moment when all is well again. */
  readonly work: () => Promise<void>;
};

async function scaleTo(...sizes: readonly number[]): Promise<void> {
  for (const replicas of sizes) {
    await cluster.scale(replicas);
    await cluster.ready(replicas);
  }
}

async function rollTo(version: string): Promise<void> {
  await cluster.patch({ version });
  await cluster.eventually(`all run ${version}`, async () => {
    const images = await cluster.kubectl(
      ...['get', 'pods', '-l', 'atomicraft.dev/cluster=counters'],
      '-o=jsonpath={.items[*].spec.containers[0].image}',
    );
    return images.split(' ').filter((image) => image.endsWith(`:${version}`)).length === 3;
  });
  await cluster.ready(3);
}

async function deleteLeader(): Promise<void> {
  await cluster.kubectl('delete', 'pod', await cluster.leader(), '--wait=true');
  await cluster.ready(3);
}

async function replaceDisk(): Promise<void> {
  const before = await cluster.incarnation(1);
  await cluster.kubectl('exec', 'counters-1', '--', 'rm', '-rf', '/data/atomic');
  await cluster.kill('counters-1', 'KILL');
  await cluster.replaced(1, before);
}

async function sleepAndWake(): Promise<void> {
  await cluster.patch({ hibernate: true });
  await cluster.conditionIs('Hibernated', 'True/Hibernated');
  await cluster.patch({ hibernate: false });
  await cluster.ready(3);
}

async function createAgain(): Promise<void> {
  const { clusterID = '' } = await cluster.status();
  await cluster.kubectl('delete', 'ac', cluster.name, '--wait=true');
  await cluster.eventually('the pods are gone', async () => {
    const label = `atomicraft.dev/cluster=${cluster.name}`;
    return (await cluster.kubectl('get', 'pods', '-l', label, '-o=name')) === '';
  });
  await cluster.apply(spec, { 'atomicraft.dev/adopt-cluster-id': clusterID });
  await cluster.ready(3);
}

const UNDER_LOAD: readonly Operation[] = [
  { name: 'scales up and down', kills: 4, work: () => scaleTo(5, 3) },
  { name: 'rolls', kills: 4, work: () => rollTo('bed-next') },
  { name: 'rolls back', kills: 2, work: () => rollTo('bed') },
  { name: 'meets a deleted leader', kills: 2, work: deleteLeader },
  { name: 'replaces a lost disk', kills: 2, work: replaceDisk },
];

/** Nobody is served meanwhile. */
const AT_REST: readonly Operation[] = [
  { name: 'sends the cluster to sleep and wakes it', kills: 2, work: sleepAndWake },
  { name: 'creates the cluster again on its old disks', kills: 2, work: createAgain },
];

beforeAll(async () => {
  await installDefinition();
  await apply(restrictedNamespace(NAMESPACE));
  operator.start();
}, 5 * MINUTES);

afterAll(async () => {
  await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=true');
  for (const one of [operator, ...patient]) await one.stop();
}, 5 * MINUTES);

describe('an operator that is killed again and again', () => {
  it(
    'while it creates a cluster leaves nothing half done',
    async () => {
      await killing(operator, { seed: 20, kills: 3 }, async () => {
        await cluster.apply(spec);
        await cluster.ready(3);
      });
      expect(await cluster.operation('counters-0', 'exchange', '7', '42')).toBe('0');
      await startLoadPod(cluster);
    },
    10 * MINUTES,
  );

  it.each(UNDER_LOAD.map((operation, at) => ({ ...operation, seed: at + 1 })))(
    'while it $name leaves nothing half done, and clients are served',
    async ({ name, seed, kills, work }) => {
      await underLoad(cluster, `kills while it ${name}`, async () => {
        await killing(operator, { seed, kills }, work);
      });
      await cluster.ready(3);
    },
    10 * MINUTES,
  );

  it.each(AT_REST.map((operation, at) => ({ ...operation, seed: at + 31 })))(
    'while it $name leaves nothing half done',
    async ({ seed, kills, work }) => {
      await killing(operator, { seed, kills }, work);
      await cluster.ready(3);
      expect(await cluster.valueOf('7')).toBe('42');
    },
    10 * MINUTES,
  );
});

describe('two operators', () => {
  const [first, second] = patient;

  it(
    'that do not know of each other make each change once',
    async () => {
      first.start();
      await underLoad(cluster, 'two operators', () => scaleTo(5, 3));
      await operator.stop();
    },
    10 * MINUTES,
  );

  it(
    'take turns by the Lease',
    async () => {
      second.start();
      await first.stop();
      await scaleTo(5, 3);
      await second.stop();
    },
    10 * MINUTES,
  );
});
