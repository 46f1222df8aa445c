import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { atomicClusterDefinition } from '../../operator/api/crd.ts';
import { createControllerMetrics } from '../../operator/controller/metrics.ts';
import { BareApiServer } from './support/bare-api-server.ts';
import { ClusterView } from './support/cluster-view.ts';
import { KillRun, type CallName, type Step } from './support/kill-run.ts';
import { QuickTime } from './support/quick-time.ts';

const MINUTES = 60_000;
/** Clusters that are at work at the same time. */
const AT_ONCE = 24;

type Operation = {
  /** Members before calls count; 0: creation itself counts. */
  readonly from: number;
  readonly steps: readonly Step[];
};

const scaleTo =
  (replicas: number): Step =>
  (run) =>
    run.changeSpec({ replicas });

const OPERATIONS: Readonly<Record<string, Operation>> = {
  create: { from: 0, steps: [(run) => run.create(3)] },
  'scale up': { from: 1, steps: [scaleTo(3), scaleTo(5)] },
  'scale down': { from: 5, steps: [scaleTo(3), scaleTo(1)] },
  roll: { from: 3, steps: [(run) => run.changeSpec({ version: 'v2' })] },
  replace: {
    from: 3,
    steps: [
      (run) => {
        run.world.loseDiskOf(1);
        return Promise.resolve();
      },
    ],
  },
};

const lifetime = new AbortController();
const metrics = createControllerMetrics();
const time = new QuickTime();
const running = new Set<KillRun>();
let server: BareApiServer;
let view: ClusterView;
let runs = 0;

beforeAll(async () => {
  server = await BareApiServer.start();
  const api = server.connect();
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await api.request({ method: 'POST', path, body: atomicClusterDefinition() });
  const clock = time.clock(lifetime.signal);
  view = new ClusterView(api, clock);
  await view.follow(lifetime.signal);
  const step = (): void => {
    for (const run of running) run.world.step(time.now());
    clock.after(100, step);
  };
  step();
}, 20 * MINUTES);

afterAll(async () => {
  lifetime.abort();
  time[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

type Outcome = { readonly calls: readonly CallName[]; readonly wasKilled: boolean; readonly failure: string };

async function perform(
  { from, steps }: Operation,
  api: ReturnType<BareApiServer['connect']>,
  killedAfter?: CallName,
): Promise<Outcome> {
  const namespace = `run-${String(++runs)}`;
  const run = new KillRun({ api, view, time, metrics, namespace, seed: runs, killedAfter });
  running.add(run);
  try {
    let why = from === 0 ? undefined : await run.create(from).then(() => run.settle());
    run.record();
    for (const step of why === undefined ? steps : []) {
      await step(run);
      why ??= await run.settle();
    }
    const { calls, wasKilled, trace } = run;
    const wrong = [...run.world.judge.violations, ...(why === undefined ? [] : [`not settled: ${why}`])];
    const after = killedAfter && `killed after ${killedAfter.call} #${String(killedAfter.nth)}`;
    const failure = wrong.length === 0 ? '' : [...trace, after ?? 'undisturbed', ...wrong].join('\n');
    return { calls, wasKilled, failure };
  } finally {
    run.end();
    running.delete(run);
  }
}

describe.each(Object.entries(OPERATIONS))('%s', (name, operation) => {
  it(
    'converges with the operator killed after each of its calls',
    async () => {
      const started = performance.now();
      const { calls, failure } = await perform(operation, server.connect());
      expect(failure).toBe('');
      const waiting = [...calls];
      const unreached: string[] = [];
      const work = async (): Promise<void> => {
        const api = server.connect();
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const outcome = await perform(operation, api, next);
          expect(outcome.failure).toBe('');
          if (!outcome.wasKilled) unreached.push(`${next.call} #${String(next.nth)}`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      process.stderr.write(
        `${name}: ${String(calls.length)} calls, ${String(Math.round(performance.now() - started))} ms; not reached: ${unreached.join(', ')}\n${calls.map(({call,nth})=>`${call} #${String(nth)}`).join('; ')}\n`,
      );
    },
    10 * MINUTES,
  );
});
