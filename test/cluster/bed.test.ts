import { afterAll, describe, expect, it } from '@jest/globals';
import { PRODUCT_IMAGE } from './bed/images.ts';
import { eventually } from './bed/wait.ts';
import { apply, kubectl } from './support/kubectl.ts';

const NAMESPACE = 'counters';
const PEERS = [0, 1, 2].map((at) => `counters-${String(at)}.counters-peer.${NAMESPACE}.svc:8300`);
const CLIENT = ['/usr/bin/node', '/app/deploy/entrypoint.mjs', 'client'];

const labels = { app: 'counters' };

const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: NAMESPACE,
    labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
  },
};

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'counters-peer', namespace: NAMESPACE },
  spec: {
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: labels,
    ports: [{ name: 'peer', port: 8300 }],
  },
};

const container = {
  name: 'server',
  image: PRODUCT_IMAGE,
  imagePullPolicy: 'Never',
  args: [
    'server',
    '--port=8300',
    '--http_port=8400',
    '--listen_address=0.0.0.0',
    `--peer=$(POD_NAME).counters-peer.${NAMESPACE}.svc:8300`,
    `--conf=${PEERS.join(',')}`,
    '--initial_state=new',
    '--data_path=/data',
    '--election_timeout_ms=1000',
  ],
  env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
  readinessProbe: { httpGet: { path: '/readyz', port: 8400 }, periodSeconds: 1 },
  volumeMounts: [{ name: 'data', mountPath: '/data' }],
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  },
};

const statefulSet = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'counters', namespace: NAMESPACE },
  spec: {
    serviceName: 'counters-peer',
    replicas: 3,
    podManagementPolicy: 'Parallel',
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        securityContext: { fsGroup: 65_532 },
        containers: [container],
        volumes: [{ name: 'data', emptyDir: {} }],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: labels },
          },
        ],
      },
    },
  },
};

/** Runs the product's client inside a pod. */
const client = (pod: string, ...args: readonly string[]): Promise<string> =>
  kubectl('exec', '-n', NAMESPACE, pod, '--', ...CLIENT, ...args, `--conf=${PEERS.join(',')}`);

const ready = (): Promise<string> =>
  kubectl('get', 'statefulset', 'counters', '-n', NAMESPACE, '-o=jsonpath={.status.readyReplicas}');

afterAll(async () => {
  await kubectl('delete', 'namespace', NAMESPACE);
}, 120_000);

describe('a cluster of three nodes', () => {
  it('runs a group of three servers of the restricted kind, one on each node', async () => {
    await apply(namespace, service, statefulSet);
    await eventually('three pods are ready', async () => (await ready()) === '3');
    const nodes = await kubectl(
      ...['get', 'pods', '-n', NAMESPACE, '-o=jsonpath={.items[*].spec.nodeName}'],
    );
    expect(nodes.split(' ').sort()).toEqual(['n1', 'n2', 'n3']);
  }, 180_000);

  it('lets pods on different nodes count together by their names', async () => {
    expect(await client('counters-0', 'exchange', '7', '42')).toBe('0');
    expect(await client('counters-2', 'get', '7')).toBe('42');
  }, 60_000);

  it('starts a server again that ended; the group goes on meanwhile', async () => {
    const restarts = (): Promise<string> =>
      kubectl(
        ...['get', 'pod', 'counters-1', '-n', NAMESPACE],
        '-o=jsonpath={.status.containerStatuses[0].restartCount}',
      );
    await kubectl('exec', '-n', NAMESPACE, 'counters-1', '--', 'sh', '-c', 'kill -TERM 1');
    expect(await client('counters-0', 'exchange', '7', '43', '--timeout-ms=10000')).toBe('42');
    await eventually('it was started again', async () => (await restarts()) === '1');
    await eventually('three pods are ready', async () => (await ready()) === '3');
    expect(await client('counters-1', 'get', '7', '--timeout-ms=10000')).toBe('43');
  }, 120_000);
});
