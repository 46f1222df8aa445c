import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { PRODUCT_IMAGE } from './bed/images.ts';
import { ClusterUnderTest } from './support/cluster-under-test.ts';
import { CLUSTER_CHART, helm, OPERATOR_CHART } from './support/helm.ts';
import { apply, get, kubectl, restrictedNamespace } from './support/kubectl.ts';

const SYSTEM = 'atomicraft-system';
const NAMESPACE = 'helm-test';
const RELEASE = 'atomic-operator';
const MINUTES = 60_000;
const [REPOSITORY = '', TAG = ''] = PRODUCT_IMAGE.split(/:(?=[^:]*$)/);

const operatorValues = [`--set=image.repository=${REPOSITORY}`, `--set=image.tag=${TAG}`];
const clusterValues = [`--set=test.image=${PRODUCT_IMAGE}`];
const cluster = new ClusterUnderTest(NAMESPACE);

const canI = async (verb: string, resource: string, namespace: string): Promise<string> => {
  const as = `--as=system:serviceaccount:${SYSTEM}:${RELEASE}`;
  // It answers "no" with a failing exit code.
  return kubectl('auth', 'can-i', verb, resource, '-n', namespace, as).catch(() => 'no');
};

beforeAll(async () => {
  await apply(restrictedNamespace(SYSTEM), restrictedNamespace(NAMESPACE));
  // Helm adopts nothing that it has not installed.
  await kubectl('delete', 'crd', 'atomicclusters.atomicraft.dev', '--ignore-not-found');
}, 2 * MINUTES);

afterAll(async () => {
  await kubectl('delete', 'namespace', NAMESPACE, SYSTEM, '--ignore-not-found');
}, 5 * MINUTES);

describe('the charts', () => {
  it.each([OPERATOR_CHART, CLUSTER_CHART])('pass the linter: %s', async (chart) => {
    expect(await helm('lint', '--strict', chart)).toContain('0 chart(s) failed');
  });

  it.each([
    ['a misspelled value', OPERATOR_CHART, '--set=replica=2', 'replica'],
    ['a value of the wrong kind', OPERATOR_CHART, '--set=replicas=many', 'replicas'],
    ['an unknown field of the spec', CLUSTER_CHART, '--set=storage.sice=1Gi', 'sice'],
    ['too many members', CLUSTER_CHART, '--set=replicas=11', 'replicas'],
  ])('refuse %s', async (_name, chart, value, said) => {
    await expect(helm('template', 'x', chart, value)).rejects.toThrow(said);
  });

  it('leave replicas to kubectl scale unless they are told', async () => {
    expect(await helm('template', 'x', CLUSTER_CHART)).not.toContain('replicas');
    expect(await helm('template', 'x', CLUSTER_CHART, '--set=replicas=5')).toContain('replicas: 5');
  });

  it('say the same as the plain manifests', async () => {
    const args = ['-n', SYSTEM, '--skip-tests'];
    const rendered = await helm('template', RELEASE, OPERATOR_CHART, ...args);
    const manifests = readFileSync(resolve(OPERATOR_CHART, '../../deploy/operator.yaml'), 'utf8');
    expect(manifests.trim().endsWith(rendered.trim())).toBe(true);
  });

  it('give an operator of one namespace no sight of nodes, volumes and other namespaces', async () => {
    const rendered = await helm('template', 'x', OPERATOR_CHART, '--set=watchNamespace=one');
    expect(rendered).not.toContain('persistentvolumes]');
    expect(rendered).not.toContain('kind: ClusterRoleBinding');
  });
});

describe('a release', () => {
  it(
    'of the operator is ready, and its test passes',
    async () => {
      await helm('install', RELEASE, OPERATOR_CHART, '-n', SYSTEM, ...operatorValues, '--wait');
      expect(await helm('test', RELEASE, '-n', SYSTEM)).toMatch(/Phase:\s+Succeeded/);
    },
    5 * MINUTES,
  );

  it(
    'of the operator may do what it needs and no more',
    async () => {
      const table: readonly (readonly [string, string, string])[] = [
        ['list', 'pods', 'yes'],
        ['create', 'statefulsets.apps', 'yes'],
        ['create', 'secrets', 'yes'],
        ['list', 'secrets', 'no'],
        ['watch', 'secrets', 'no'],
        ['update', 'secrets', 'no'],
        ['create', 'pods', 'no'],
        ['create', 'pods/exec', 'no'],
        ['delete', 'statefulsets.apps', 'yes'],
        ['patch', 'atomicclusters.atomicraft.dev', 'no'],
        ['delete', 'nodes', 'no'],
        ['create', 'clusterroles.rbac.authorization.k8s.io', 'no'],
      ];
      const answers = await Promise.all(
        table.map(async ([verb, resource]) => [
          verb,
          resource,
          await canI(verb, resource, NAMESPACE),
        ]),
      );
      expect(answers).toEqual(table);
    },
    2 * MINUTES,
  );

  it(
    'of a cluster counts, and its test passes',
    async () => {
      await helm('install', 'counters', CLUSTER_CHART, '-n', NAMESPACE, ...clusterValues, '--wait');
      await cluster.ready(3);
      expect(await helm('test', 'counters', '-n', NAMESPACE)).toMatch(/Phase:\s+Succeeded/);
    },
    5 * MINUTES,
  );

  it(
    'of a cluster can be upgraded after somebody has scaled it',
    async () => {
      await cluster.scale(5);
      await cluster.ready(5);
      const change = '--set=raft.snapshotInterval=10s';
      await helm('upgrade', 'counters', CLUSTER_CHART, '-n', NAMESPACE, ...clusterValues, change);
      await cluster.eventually('the new setting is rolled out', async () => {
        return (await cluster.condition('Ready')) === 'False/Rolling';
      });
      await cluster.ready(5);
    },
    10 * MINUTES,
  );

  it(
    'of the operator can be upgraded without any pod of a cluster restarting',
    async () => {
      const pods = (): Promise<string> =>
        cluster.kubectl('get', 'pods', '-o=jsonpath={.items[*].metadata.uid}');
      const before = await pods();
      const change = '--set=workers=4';
      await helm(
        'upgrade',
        RELEASE,
        OPERATOR_CHART,
        '-n',
        SYSTEM,
        ...operatorValues,
        change,
        '--wait',
      );
      await cluster.scale(3);
      await cluster.ready(3);
      const after = (await pods()).split(' ');
      expect(after.every((uid) => before.includes(uid))).toBe(true);
    },
    10 * MINUTES,
  );

  it(
    'of the operator that is uninstalled leaves clusters that serve, and their definition',
    async () => {
      await helm('uninstall', RELEASE, '-n', SYSTEM, '--wait');
      expect(await kubectl('get', 'crd', 'atomicclusters.atomicraft.dev', '-o=name')).not.toBe('');
      const value = await cluster.valueOf('9007199254740991');
      expect(value).toBe('2');
      await helm('uninstall', 'counters', '-n', NAMESPACE);
      await cluster.eventually('the StatefulSet is gone', async () => {
        return (await get('sts', 'counters', NAMESPACE)) === undefined;
      });
      const claims = await cluster.kubectl('get', 'pvc', '-o=name');
      expect(claims.split('\n').length).toBeGreaterThanOrEqual(3);
    },
    5 * MINUTES,
  );
});
