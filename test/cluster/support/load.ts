import { expect } from '@jest/globals';
import { PRODUCT_IMAGE } from '../bed/images.ts';
import { apply } from './kubectl.ts';
import type { ClusterUnderTest } from './cluster-under-test.ts';

const POD = 'load';
const WORKERS = 8;
/** The first of the counters that the load counts on. */
const LOAD_COUNTER = '1000000';
const PID_FILE = '/tmp/load.pid';
const REPORT_FILE = '/tmp/load.json';
const ERRORS_FILE = '/tmp/load.errors';
const EXIT_FILE = '/tmp/load.exit';

type Report = {
  readonly operations: number;
  readonly failures: number;
  readonly unknown: number;
  readonly longestGapMs: number;
  readonly seconds: number;
  readonly latency: { readonly p99Us: number };
  readonly verdict: { readonly ok: boolean; readonly operations: number };
};

/** Starts the pod from which clients count. */
export async function startLoadPod(cluster: ClusterUnderTest): Promise<void> {
  await apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: POD, namespace: cluster.namespace },
    spec: {
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'load',
          image: PRODUCT_IMAGE,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', 'sleep 1000000'],
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            readOnlyRootFilesystem: true,
          },
          volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }],
    },
  });
  await cluster.kubectl('wait', '--for=condition=Ready', `pod/${POD}`, '--timeout=120s');
}

/**
 * Does `disturb` while clients get and compare-exchange; every operation is recorded and the history
 * judged. Fails on a lost or invented write; how long nobody was served is reported, not judged.
 */
export async function underLoad(
  cluster: ClusterUnderTest,
  what: string,
  disturb: () => Promise<void>,
): Promise<Report> {
  const { namespace, name } = cluster;
  const flags = [
    `--conf=${name}.${namespace}.svc:8100`,
    ...['--verify', '--mix=get=50,cas=50', '--json', '--timeout-ms=10000'],
    ...[`--in-flight=${String(WORKERS)}`, '--keys=4', '--pace-ms=10', '--warm-up=0.5'],
    '--duration=0',
  ];
  const counted = (): Promise<string> =>
    cluster.client(POD, 'get', LOAD_COUNTER, flags[0] ?? '', '--timeout-ms=60000');
  const before = await counted();
  // Detached, so that it outlives the API server; it ends at SIGINT.
  const bench = `echo $$ >${PID_FILE}; exec atomic bench ${flags.join(' ')}`;
  const kept = `sh -c '${bench}' >${REPORT_FILE} 2>${ERRORS_FILE}; echo $? >${EXIT_FILE}`;
  await inPod(cluster, `rm -f ${EXIT_FILE}; (${kept}) >/dev/null 2>&1 </dev/null &`);
  await cluster.eventually('the load has begun', async () => {
    return (await counted()) !== before;
  });
  const start = performance.now();
  try {
    await disturb();
  } finally {
    await inPod(cluster, `kill -INT $(cat ${PID_FILE})`);
    await cluster.eventually('the load has ended', async () => {
      return (await inPod(cluster, `cat ${EXIT_FILE} || true`)) !== '';
    });
  }
  expect(await inPod(cluster, `cat ${ERRORS_FILE}`)).toBe('');
  const report = JSON.parse(await inPod(cluster, `cat ${REPORT_FILE}`)) as Report;
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  const answered = (100 * report.operations) / (report.operations + report.failures);
  process.stderr.write(
    `${what}: ${seconds} s, ${String(report.operations)} operations, ${answered.toFixed(3)} % answered, ` +
      `longest gap ${String(report.longestGapMs)} ms, p99 ${(report.latency.p99Us / 1_000).toFixed(1)} ms\n`,
  );
  expect(report.verdict).toMatchObject({ ok: true });
  expect(report.operations).toBeGreaterThan(0);
  return report;
}

function inPod(cluster: ClusterUnderTest, script: string): Promise<string> {
  return cluster.kubectl('exec', POD, '--', 'sh', '-c', script);
}
