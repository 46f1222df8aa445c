import { describe, expect, it } from '@jest/globals';
import { drawSteadySettings } from './settings.ts';
import { simulate } from './simulation.ts';

const SEEDS = [1, 3, 4, 5];

/** Runs that once lost acknowledged entries, refused to start or left a follower behind. */
const REGRESSIONS = [51, 443, 658, 1271, 1311, 1689];

describe('a simulated group', () => {
  it.each(SEEDS)('keeps every promise with seed %i', async (seed) => {
    const result = await simulate({ seed, forMs: 30_000 });
    expect(result.violation).toBeUndefined();
    expect(result.completed).toBeGreaterThan(0);
  });

  it.each(REGRESSIONS)('keeps every promise where it once did not: seed %i', async (seed) => {
    const settings = drawSteadySettings(seed);
    expect((await simulate({ seed, forMs: 60_000, settings })).violation).toBeUndefined();
  });

  it('runs the same way twice with the same seed', async () => {
    const first = await simulate({ seed: 7, forMs: 10_000 });
    const second = await simulate({ seed: 7, forMs: 10_000 });
    expect(second).toEqual(first);
    expect((await simulate({ seed: 8, forMs: 10_000 })).traceHash).not.toBe(first.traceHash);
  });
});
