import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { requires } from '../support/requires.ts';
import { ownCluster } from './support/cluster-access.ts';
import { ClusterUnderTest } from './support/cluster-under-test.ts';
import { installDefinition } from './support/install.ts';
import { killing } from './support/killing.ts';
import { apply, kubectl, restrictedNamespace } from './support/kubectl.ts';
import { startLoadPod, underLoad } from './support/load.ts';
import { crashNode, drain, loseNode, nodeIs, restartApi, returnNode } from './support/nodes.ts';
import { OperatorProcess } from './support/operator-process.ts';

const NAMESPACE = 'nodes-test';
const MINUTES = 60_000;
const ORDINALS = [0, 1, 2];

/** On disks that die with their node, and on disks that follow their pod. */
const bound = new ClusterUnderTest(NAMESPACE, 'bound');
const roaming = new ClusterUnderTest(NAMESPACE, 'roaming');
const operator = new OperatorProcess('operator-nodes', ['--no-leader-elect']);

const it = requires('expendableNodes');

async function nodeOf(cluster: ClusterUnderTest, ordinal: number): Promise<string> {
  return (await cluster.pod(ordinal))?.spec.nodeName ?? '';
}

/** Moves leadership to a member whose node is not the load's; resolves with its ordinal and node. */
async function leaderApart(
  cluster: ClusterUnderTest,
): Promise<{ readonly ordinal: number; readonly node: string }> {
  const nodes = await Promise.all(ORDINALS.map((ordinal) => nodeOf(cluster, ordinal)));
  expect(new Set(nodes).size).toBe(nodes.length);
  const loaded = await cluster.kubectl('get', 'pod', 'load', '-o=jsonpath={.spec.nodeName}');
  const ordinal = nodes.findIndex((node) => node !== loaded);
  await cluster.lead(ordinal);
  return { ordinal, node: nodes[ordinal] ?? '' };
}

beforeAll(async () => {
  if (ownCluster !== undefined) return;
  await installDefinition();
  await apply(restrictedNamespace(NAMESPACE));
  operator.start();
  await bound.apply({ replicas: 3, memberLossGracePeriod: '15s' });
  await roaming.apply({ replicas: 3, storage: { storageClassName: 'network' } });
  for (const cluster of [bound, roaming]) await cluster.ready(3);
  await startLoadPod(bound);
}, 5 * MINUTES);

afterAll(async () => {
  if (ownCluster !== undefined) return;
  await kubectl('delete', 'namespace', NAMESPACE, '--wait=true');
  await operator.stop();
}, 5 * MINUTES);

describe('a node', () => {
  it(
    'that is drained gives its members to others, and gets back those whose disk it has',
    async () => {
      const { node, ordinal } = await leaderApart(roaming);
      await underLoad(roaming, 'drain the node of the leader', async () => {
        await killing(operator, { seed: 11, kills: 2 }, async () => {
          await drain(node);
          await roaming.ready(3);
        });
      });
      expect(await nodeOf(roaming, ordinal)).not.toBe(node);
      await bound.conditionIs('Ready', 'False/MembersMissing');
      await kubectl('uncordon', node);
      await bound.ready(3);
    },
    10 * MINUTES,
  );

  it(
    'that crashes is missed for a moment, and brings its member back as it was',
    async () => {
      const { node, ordinal } = await leaderApart(bound);
      const before = await bound.incarnation(ordinal);
      await underLoad(bound, 'crash the node of the leader', async () => {
        await killing(operator, { seed: 12, kills: 2 }, async () => {
          await crashNode(node);
          await nodeIs(node, 'Unknown');
          await bound.conditionIs('Ready', 'False/MembersMissing');
        });
      });
      await underLoad(bound, 'the node comes back', async () => {
        await returnNode(node);
        await bound.ready(3);
      });
      expect(await bound.incarnation(ordinal)).toBe(before);
      expect(await nodeOf(bound, ordinal)).toBe(node);
    },
    10 * MINUTES,
  );

  it(
    'that is gone for good costs its member its identity: another disk takes its place',
    async () => {
      const { node, ordinal } = await leaderApart(bound);
      const before = await bound.incarnation(ordinal);
      await underLoad(bound, 'lose the node of the leader', async () => {
        await killing(operator, { seed: 13, kills: 2 }, async () => {
          await loseNode(node);
          await bound.replaced(ordinal, before);
        });
      });
      expect(await nodeOf(bound, ordinal)).not.toBe(node);
      await returnNode(node);
      await bound.ready(3);
      await roaming.ready(3);
    },
    10 * MINUTES,
  );
});

describe('the API server', () => {
  it(
    'may be killed while a cluster is scaled: clients notice nothing',
    async () => {
      await underLoad(bound, 'kill the API server while scaling', async () => {
        await bound.scale(5);
        await restartApi();
        await bound.ready(5);
        await bound.scale(3);
        await restartApi();
        await bound.ready(3);
      });
    },
    10 * MINUTES,
  );
});
