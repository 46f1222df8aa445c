import { describe, expect, it } from '@jest/globals';
import { MUTANTS } from './mutants.ts';
import { runSeed } from './random-schedule.ts';

const SEEDS_MAX = 600;

/** The first seed that catches the mutant, and how. */
function caughtBy(name: string): { readonly seed: number; readonly how: string } | undefined {
  const plan = MUTANTS[name];
  if (plan === undefined) return undefined;
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const { violations, unsettled } = runSeed(seed, { plan });
    const how = violations[0] ?? unsettled;
    if (how !== undefined) return { seed, how };
  }
  return undefined;
}

describe('the model catches a plan that', () => {
  it.each(Object.keys(MUTANTS))('%s', (name) => {
    expect(caughtBy(name)).toBeDefined();
  });
});
