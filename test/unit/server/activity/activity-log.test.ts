import { describe, expect, it } from '@jest/globals';
import { ACTIVITY_SAMPLES_MAX, ActivityLog } from '../../../../server/activity/activity-log.ts';
import { LatencyHistogram } from '../../../../server/activity/latency-histogram.ts';

function logOver(source: { now: number; applied: number }): ActivityLog {
  return new ActivityLog({
    now: () => source.now,
    appliedOperations: () => source.applied,
    loopDelayMaxMs: () => 3,
  });
}

describe('LatencyHistogram', () => {
  it.each([
    [[1], 1, 1],
    [Array.from({ length: 100 }, (_, i) => i + 1), 50, 99],
    [[0, 0, 0, 200], 0.01, 200],
  ])('finds the percentiles of %j within a bucket', (durations, p50, p99) => {
    const histogram = new LatencyHistogram();
    for (const duration of durations) histogram.record(duration);
    const summary = histogram.summary();
    expect(summary.count).toBe(durations.length);
    for (const [found, exact] of [
      [summary.p50Ms, p50],
      [summary.p99Ms, p99],
    ] as const) {
      expect(found).toBeGreaterThanOrEqual(exact * 0.999);
      expect(found).toBeLessThanOrEqual(exact * 1.081);
    }
  });

  it('is empty after a reset', () => {
    const histogram = new LatencyHistogram();
    histogram.record(5);
    histogram.reset();
    expect(histogram.summary()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0 });
  });
});

describe('ActivityLog', () => {
  it('counts what was applied in each interval', () => {
    const source = { now: 0, applied: 10 };
    const log = logOver(source);
    log.recordWrite(2);
    Object.assign(source, { now: 1000, applied: 25 });
    log.endInterval();
    Object.assign(source, { now: 2500, applied: 25 });
    log.endInterval();
    source.now = 2600;
    expect(log.samples(10)).toMatchObject([
      { ageMs: 1600, intervalMs: 1000, appliedOperations: 15, writes: { count: 1 } },
      { ageMs: 100, intervalMs: 1500, appliedOperations: 0, writes: { count: 0 } },
    ]);
  });

  it('shows no negative rate when the count starts anew', () => {
    const source = { now: 0, applied: 10 };
    const log = logOver(source);
    source.applied = 3;
    log.endInterval();
    expect(log.samples(1)).toMatchObject([{ appliedOperations: 0 }]);
  });

  it('keeps a bounded history and answers the newest', () => {
    const source = { now: 0, applied: 0 };
    const log = logOver(source);
    for (let i = 1; i <= ACTIVITY_SAMPLES_MAX + 5; i++) {
      source.applied += i;
      log.endInterval();
    }
    expect(log.samples(10_000)).toHaveLength(ACTIVITY_SAMPLES_MAX);
    expect(log.samples(1)).toMatchObject([{ appliedOperations: ACTIVITY_SAMPLES_MAX + 5 }]);
    expect(log.samples(0)).toEqual([]);
  });
});
