import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { createPrng } from '../../server/raft/core/prng.ts';
import { ClusterUnderTest } from './support/cluster-under-test.ts';
import { installDefinition } from './support/install.ts';
import { apply, restrictedNamespace } from './support/kubectl.ts';
import { startLoadPod, underLoad } from './support/load.ts';
import { OperatorProcess } from './support/operator-process.ts';

const NAMESPACE = 'faults-test';
const MINUTES = 60_000;
/** How long an operator lives between two kills, at most. */
const LIFE_MAX_MS = 4_000;

const cluster = new ClusterUnderTest(NAMESPACE);
const operators = [new OperatorProcess('operator-a'), new OperatorProcess('operator-b')] as const;
const [operator, other] = operators;

const spec = { replicas: 3 };

/** Kills the operator again and again, at moments that the seed decides, while `work` goes on. */
async function killing(seed: number, kills: number, work: () => Promise<void>): Promise<void> {
  const prng = createPrng(seed);
  const killer = async (): Promise<void> => {
    for (let kill = 0; kill < kills; kill++) {
      await pause(500 + prng.next() * LIFE_MAX_MS);
      await operator.kill();
      operator.start();
    }
  };
  await Promise.all([work(), killer()]);
}

beforeAll(async () => {
  await installDefinition();
  await apply(restrictedNamespace(NAMESPACE));
  operator.start();
  await cluster.apply(spec);
  await cluster.ready(3);
  await startLoadPod(cluster);
}, 5 * MINUTES);

afterAll(async () => {
  await cluster.kubectl('delete', 'namespace', NAMESPACE, '--wait=true');
  for (const one of operators) await one.stop();
}, 5 * MINUTES);

describe('an operator that is killed', () => {
  it(
    'twice and more while it scales up and down leaves nothing half done',
    async () => {
      await underLoad(cluster, 'kills while scaling', async () => {
        await killing(1, 6, async () => {
          for (const replicas of [5, 3]) {
            await cluster.scale(replicas);
            await cluster.ready(replicas);
          }
        });
      });
      await cluster.ready(3);
    },
    10 * MINUTES,
  );

  it(
    'twice and more while it rolls leaves nothing half done',
    async () => {
      await underLoad(cluster, 'kills while rolling', async () => {
        await killing(2, 6, async () => {
          await cluster.patch({ version: 'bed-next' });
          await cluster.eventually('all run the new version', async () => {
            const images = await cluster.kubectl(
              ...['get', 'pods', '-l', 'atomicraft.dev/cluster=counters'],
              '-o=jsonpath={.items[*].spec.containers[0].image}',
            );
            return images.split(' ').filter((image) => image.endsWith(':bed-next')).length === 3;
          });
          await cluster.ready(3);
        });
      });
    },
    10 * MINUTES,
  );

  it(
    'works beside another one that nobody told of it: each change is made once',
    async () => {
      const alone = new OperatorProcess('operator-without-lease', ['--no-leader-elect']);
      alone.start();
      try {
        await underLoad(cluster, 'two operators', async () => {
          await cluster.scale(5);
          await cluster.eventually('five vote', async () => (await cluster.status()).voters === 5);
        });
      } finally {
        await alone.stop();
      }
      await cluster.scale(3);
      await cluster.ready(3);
    },
    10 * MINUTES,
  );

  it(
    'is replaced by one that waits for its Lease',
    async () => {
      other.start();
      await operator.stop();
      await cluster.scale(5);
      await cluster.ready(5);
      await cluster.scale(3);
      await cluster.ready(3);
      await other.stop();
      operator.start();
    },
    10 * MINUTES,
  );
});
