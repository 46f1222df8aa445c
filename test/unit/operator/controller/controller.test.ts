import { describe, expect, it } from '@jest/globals';
import {
  Controller,
  type Reconcile,
  type ReconcileMetrics,
} from '../../../../operator/controller/controller.ts';
import { WorkQueue } from '../../../../operator/controller/work-queue.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';
import { settled } from '../../../support/manual-clock.ts';

type Job = { readonly key: string; readonly finish: () => void; readonly signal: AbortSignal };

function setUp(
  reconcile: Reconcile,
  options: { workers?: number; reconcileTimeoutMs?: number; metrics?: ReconcileMetrics } = {},
) {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  const logger = recordingLogger();
  let runs = 0;
  const newReconcileId = (): string => `run-${++runs}`;
  const controller = new Controller({
    ...{ name: 'widgets', queue, reconcile, clock, logger, newReconcileId, ...options },
  });
  const [stop, lost] = [new AbortController(), new AbortController()];
  let hasEnded = false;
  const running = controller.run(stop.signal, lost.signal).then(() => {
    hasEnded = true;
  });
  return { clock, queue, logger, stop, lost, running, hasEnded: () => hasEnded };
}

/** A reconcile whose runs end when the test says so. */
function heldReconcile(): { readonly jobs: Job[]; readonly reconcile: Reconcile } {
  const jobs: Job[] = [];
  const reconcile: Reconcile = (key, { signal }) =>
    new Promise((resolve) => {
      const finish = (): void => {
        resolve({});
      };
      jobs.push({ key, signal, finish });
    });
  return { jobs, reconcile };
}

describe('Controller', () => {
  it('works on several keys at once, but never twice on one', async () => {
    const { jobs, reconcile } = heldReconcile();
    const { queue, stop, running } = setUp(reconcile, { workers: 2 });
    for (const key of ['a', 'a', 'b', 'c']) queue.add(key);
    await settled();
    queue.add('a');
    await settled();
    expect(jobs.map(({ key }) => key)).toEqual(['a', 'b']);
    jobs[0]?.finish();
    await settled();
    expect(jobs.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
    jobs[1]?.finish();
    await settled();
    expect(jobs.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'a']);
    for (const { finish } of jobs) finish();
    stop.abort();
    await running;
  });

  it('looks again when it was asked to', async () => {
    const seen: string[] = [];
    const { clock, queue } = setUp((key) => {
      seen.push(key);
      return Promise.resolve(seen.length === 1 ? { requeueAfterMs: 30_000 } : {});
    });
    queue.add('a');
    await clock.advance(29_999);
    expect(seen).toEqual(['a']);
    await clock.advance(1);
    expect(seen).toEqual(['a', 'a']);
    await clock.advance(3_600_000);
    expect(seen).toEqual(['a', 'a']);
  });

  it('tries a failing key again later and later, and logs object and run', async () => {
    const times: number[] = [];
    const { clock, queue, logger } = setUp((_key, context) => {
      context.logger.info('at work');
      times.push(clock.now());
      return times.length < 4 ? Promise.reject(new Error('disk on fire')) : Promise.resolve({});
    });
    queue.add('demo/a');
    await clock.advance(60_000);
    expect(times).toEqual([0, 5, 15, 35]);
    expect(queue.failures('demo/a')).toBe(0);
    const errors = logger.lines.filter(({ level }) => level === 'error');
    expect(errors).toHaveLength(3);
    expect(errors[1]?.fields).toMatchObject({
      ...{ controller: 'widgets', object: 'demo/a', reconcileId: 'run-2', failures: 2 },
      error: expect.stringContaining('disk on fire') as unknown,
    });
    const infos = logger.lines.filter(({ level }) => level === 'info');
    expect(infos[3]?.fields).toMatchObject({ object: 'demo/a', reconcileId: 'run-4' });
  });

  it('outlives a reconcile that throws before its first await', async () => {
    let calls = 0;
    const { clock, queue } = setUp(() => {
      calls++;
      throw new Error('at once');
    });
    queue.add('a');
    await clock.advance(5);
    expect(calls).toBe(2);
  });

  it('aborts a reconcile at its deadline, and waits for it to end', async () => {
    const { jobs, reconcile } = heldReconcile();
    const { clock, queue } = setUp(
      async (key, context) => {
        await reconcile(key, context);
        context.signal.throwIfAborted();
        return {};
      },
      { reconcileTimeoutMs: 1_000 },
    );
    queue.add('a');
    await clock.advance(999);
    expect(jobs[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(jobs[0]?.signal.aborted).toBe(true);
    queue.add('a');
    await clock.advance(60_000);
    expect(jobs).toHaveLength(1);
    jobs[0]?.finish();
    await clock.advance(5);
    expect(jobs).toHaveLength(2);
    expect(jobs[1]?.signal.aborted).toBe(false);
  });

  it('drains when told to stop: no further key, no abort', async () => {
    const { jobs, reconcile } = heldReconcile();
    const { queue, stop, running, hasEnded } = setUp(reconcile);
    queue.add('a');
    queue.add('b');
    await settled();
    stop.abort();
    await settled();
    expect([hasEnded(), jobs.length, jobs[0]?.signal.aborted]).toEqual([false, 1, false]);
    jobs[0]?.finish();
    await running;
    expect(jobs).toHaveLength(1);
  });

  it('aborts what is in work when leadership is lost', async () => {
    const { jobs, reconcile } = heldReconcile();
    const { queue, lost, running } = setUp(reconcile);
    queue.add('a');
    await settled();
    lost.abort();
    expect(jobs[0]?.signal.aborted).toBe(true);
    jobs[0]?.finish();
    await running;
    expect(await queue.get()).toBeUndefined();
  });

  it('counts outcomes and time', async () => {
    const told: unknown[] = [];
    const answers = [{}, { requeueAfterMs: 1e9 }, new Error('no')];
    const { queue, clock } = setUp(
      () => {
        const answer = answers.shift() ?? {};
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
      {
        metrics: {
          started: () => told.push('started'),
          finished: (outcome, seconds) => told.push([outcome, seconds]),
        },
      },
    );
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.advance(1);
    expect(told).toEqual([
      ...['started', ['success', 0], 'started', ['requeue_after', 0], 'started', ['error', 0]],
    ]);
  });
});
