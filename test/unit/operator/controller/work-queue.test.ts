import { describe, expect, it } from '@jest/globals';
import { WorkQueue, type QueueMetrics } from '../../../../operator/controller/work-queue.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { settled } from '../../../support/manual-clock.ts';

function setUp(options: { maxDelayMs?: number; metrics?: QueueMetrics } = {}) {
  const clock = new FakeClock();
  return { clock, queue: new WorkQueue({ clock, ...options }) };
}

/** Milliseconds until the key that was added last becomes ready, which then is taken and done. */
async function waitOf(clock: FakeClock, queue: WorkQueue): Promise<number> {
  const waitMs = clock.nextIn() ?? Number.NaN;
  await clock.advance(waitMs);
  const key = await queue.get();
  if (key !== undefined) queue.done(key);
  return waitMs;
}

describe('WorkQueue', () => {
  it('hands out keys in the order they came', async () => {
    const { queue } = setUp();
    for (const key of ['b', 'a', 'c']) queue.add(key);
    expect([await queue.get(), await queue.get(), await queue.get()]).toEqual(['b', 'a', 'c']);
  });

  it('holds a waiting key once', () => {
    const { queue } = setUp();
    queue.add('a');
    queue.add('a');
    expect(queue.length).toBe(1);
  });

  it('gives a key that was added while in work again, once, after done', async () => {
    const { queue } = setUp();
    queue.add('a');
    await queue.get();
    queue.add('a');
    queue.add('a');
    expect(queue.length).toBe(0);
    queue.done('a');
    expect(queue.length).toBe(1);
    expect(await queue.get()).toBe('a');
    queue.done('a');
    expect(queue.length).toBe(0);
  });

  it('serves takers that wait, first come first', async () => {
    const { queue } = setUp();
    const taken: string[] = [];
    void queue.get().then((key) => taken.push(`first ${key ?? ''}`));
    void queue.get().then((key) => taken.push(`second ${key ?? ''}`));
    queue.add('a');
    queue.add('b');
    await settled();
    expect(taken).toEqual(['first a', 'second b']);
  });

  it.each([
    { delays: [50, 20], readyAt: 20 },
    { delays: [20, 50], readyAt: 20 },
    { delays: [30, 30], readyAt: 30 },
  ])('of delays $delays the earliest counts, once', async ({ delays, readyAt }) => {
    const { clock, queue } = setUp();
    for (const delayMs of delays) queue.addAfter('a', delayMs);
    await clock.advance(readyAt - 1);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(await queue.get()).toBe('a');
    queue.done('a');
    await clock.advance(1000);
    expect(queue.length).toBe(0);
  });

  it('adds at once what has no delay', () => {
    const { queue } = setUp();
    queue.addAfter('a', 0);
    expect(queue.length).toBe(1);
  });

  it('doubles the delay of a failing key up to the cap and starts anew when it is forgotten', async () => {
    const { clock, queue } = setUp({ maxDelayMs: 30 });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      queue.addRateLimited('a');
      waits.push(await waitOf(clock, queue));
    }
    expect(waits).toEqual([5, 10, 20, 30, 30]);
    expect(queue.failures('a')).toBe(5);
    queue.forget('a');
    queue.addRateLimited('a');
    expect(clock.nextIn()).toBe(5);
  });

  it('waits 300 s at most by default, however often a key failed', async () => {
    const { clock, queue } = setUp();
    for (let attempt = 0; attempt < 2000; attempt++) {
      queue.addRateLimited('a');
      if (attempt < 1999) await waitOf(clock, queue);
    }
    expect(clock.nextIn()).toBe(300_000);
  }, 120_000);

  it('counts failures for each key', async () => {
    const { clock, queue } = setUp();
    queue.addRateLimited('a');
    await waitOf(clock, queue);
    queue.addRateLimited('b');
    expect(clock.nextIn()).toBe(5);
  });
});

describe('WorkQueue, shut down,', () => {
  it('wakes takers, drops what waits and cancels delays', async () => {
    const { clock, queue } = setUp();
    const taker = queue.get();
    queue.addAfter('later', 10);
    queue.shutDown();
    queue.add('a');
    queue.addAfter('b', 10);
    expect(await taker).toBeUndefined();
    expect(await queue.get()).toBeUndefined();
    expect([queue.length, clock.pending]).toEqual([0, 0]);
  });

  it('is drained when the last key in work is done, and does not give it again', async () => {
    const { queue } = setUp();
    queue.add('a');
    await queue.get();
    let isDrained = false;
    void queue.drained().then(() => (isDrained = true));
    queue.add('a');
    queue.shutDown();
    await settled();
    expect(isDrained).toBe(false);
    queue.done('a');
    await settled();
    expect(isDrained).toBe(true);
    expect(await queue.get()).toBeUndefined();
  });
});

describe('the metrics of a WorkQueue', () => {
  it('tell depth, waits, work and retries', async () => {
    const told: unknown[] = [];
    const { clock, queue } = setUp({
      metrics: {
        added: (depth) => told.push(['added', depth]),
        taken: (seconds, depth) => told.push(['taken', seconds, depth]),
        finished: (seconds) => told.push(['finished', seconds]),
        retried: () => told.push(['retried']),
      },
    });
    queue.add('a');
    queue.add('a');
    await clock.advance(2000);
    await queue.get();
    await clock.advance(500);
    queue.addRateLimited('a');
    queue.done('a');
    expect(told).toEqual([['added', 1], ['taken', 2, 0], ['retried'], ['finished', 0.5]]);
  });
});
