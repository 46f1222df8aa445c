import { describe, expect, it } from '@jest/globals';
import { FaultyRun } from '../support/faulty-run.ts';

/** Runs that left a group without a leader once, while a removed leader did not campaign. */
const ONCE_FAILED = [32, 85, 113, 156, 202, 279];

describe('safety (figure 3) and service, with all features at once and faults of every kind', () => {
  const seeds = [...Array.from({ length: 24 }, (_, position) => position + 1), ...ONCE_FAILED];

  it.each(seeds)('seed %i: nothing is broken, and the group serves in the end', (seed) => {
    const run = new FaultyRun(seed);
    run.run();
    expect(run.violations).toEqual([]);
  });
});
