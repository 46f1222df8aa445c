import { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { wholeNumber } from '../../client/commands/arguments.ts';
import { Latencies } from '../../client/latencies.ts';
import { connectReplica } from '../../operator/cluster/replicas.ts';
import { systemClock } from '../../operator/controller/clock.ts';
import type { Logger } from '../../operator/controller/logger.ts';
import { createControllerMetrics } from '../../operator/controller/metrics.ts';
import { PORTS } from '../../operator/resources/names.ts';
import { RunningOperator } from '../support/operator/running-operator.ts';
import { KubernetesClient } from './kubernetes-client.ts';
import type { Progress } from './kubernetes-process.ts';
import { machineLine } from './machine.ts';

const MEBIBYTE = 2 ** 20;
const SECONDS = 1_000;
const POLL_MS = 250;
/** After so long the watermarks, too, have been written for the last time. */
const QUIET_MS = 40 * SECONDS;

type Flags = { readonly clusters: number; readonly idleSeconds: number };
type Row = readonly [name: string, value: string];

/** Lines about each step of hundreds of clusters say nothing here. */
const LOGGER: Logger = {
  ...{ debug: () => undefined, info: () => undefined },
  ...{ warn: console.warn, error: console.error },
};

function memory(): { readonly heap: number; readonly resident: number } {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed / MEBIBYTE, resident: rss / MEBIBYTE };
}

/** An operator that has listed everything, and how long its passes take. */
async function startOperator(api: KubernetesClient): Promise<{
  readonly operator: RunningOperator;
  readonly passes: Latencies;
}> {
  const passes = new Latencies();
  const ours = `:${String(PORTS.grpc)}`;
  const theirs = `:${String(await api.port)}`;
  const operator = new RunningOperator({
    ...{ api, clock: systemClock, logger: LOGGER },
    connect: (address, authSecret) => connectReplica(address.replace(ours, theirs), authSecret),
    metrics: {
      ...createControllerMetrics(),
      controller: () => ({
        started: () => undefined,
        finished: (_, seconds) => {
          passes.record(seconds * SECONDS);
        },
      }),
    },
  });
  return { operator, passes };
}

async function measure({ clusters, idleSeconds }: Flags): Promise<readonly Row[]> {
  using api = new KubernetesClient();
  const { operator, passes } = await startOperator(api);
  await sleep(SECONDS);
  const empty = memory();
  const startMs = performance.now();
  await api.applyClusters(clusters);
  let made: Progress;
  do {
    await sleep(POLL_MS);
    made = await api.progress();
  } while (made.settled < clusters);
  const creationSeconds = (performance.now() - startMs) / SECONDS;
  const creating = passes.summary();
  await sleep(QUIET_MS);
  passes.reset();
  const before = { ...(await api.progress()), cpu: process.cpuUsage() };
  await sleep(idleSeconds * SECONDS);
  const { user, system } = process.cpuUsage(before.cpu);
  const after = await api.progress();
  const idle = passes.summary();
  const full = memory();
  await operator.stop();
  const idleCalls = after.calls - after.watches - (before.calls - before.watches);
  const each = (value: number): string => (value / clusters).toFixed(1);
  const times = ({ p50Us, p99Us }: typeof idle): string =>
    `${(p50Us / SECONDS).toFixed(1)} / ${(p99Us / SECONDS).toFixed(1)} ms`;
  return [
    ['clusters of three members', String(clusters)],
    ['all of them created within', `${creationSeconds.toFixed(1)} s`],
    ['API calls to create one', `${each(made.calls)}, ${each(made.writes)} of them writes`],
    ['pass while creating, p50 / p99', times(creating)],
    ['API calls a minute for a healthy one', each((idleCalls * 60) / idleSeconds)],
    ['passes a second, all healthy', (idle.count / idleSeconds).toFixed(1)],
    ['pass over a healthy one, p50 / p99', times(idle)],
    [
      'processor, all healthy',
      `${((user + system) / idleSeconds / 10_000).toFixed(1)} % of a core`,
    ],
    ['heap for one', `${((full.heap - empty.heap) / clusters).toFixed(2)} MiB`],
    [
      'memory of the process',
      `${full.resident.toFixed(0)} MiB, ${empty.resident.toFixed(0)} MiB without any`,
    ],
  ];
}

const program = new Command('npm run bench:operator --')
  .description(
    'Measure one operator with many clusters: an API server in memory in another process, pods that run at once, connections to servers that always answer.',
  )
  .option('--clusters <n>', 'AtomicClusters of three members', wholeNumber(1, 2_000), 300)
  .option('--idle-seconds <n>', 'how long healthy clusters are watched', wholeNumber(1, 3_600), 60);
const rows = await measure(program.parse().opts<Flags>());
const width = Math.max(...rows.map(([name]) => name.length));
console.log(machineLine());
for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
process.exit(0);
