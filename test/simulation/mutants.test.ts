import { describe, expect, it } from '@jest/globals';
import { MUTANT_SETTINGS, MUTANTS, type Mutant } from './mutants.ts';
import { simulate } from './simulation.ts';

const SEEDS = Array.from({ length: 60 }, (_, place) => 1_040 + place);
const RUN_MS = 30_000;

/** The first seed whose run finds the bug. */
async function firstKill({ step, settings }: Mutant): Promise<number | undefined> {
  for (const seed of SEEDS) {
    const { violation } = await simulate({
      ...{ seed, forMs: RUN_MS, settings: { ...MUTANT_SETTINGS, ...settings } },
      ...(step === undefined ? {} : { step }),
    });
    if (violation !== undefined) return seed;
  }
  return undefined;
}

describe('the simulation', () => {
  it.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
    'finds a product that %s',
    async (_, mutant) => {
      expect(await firstKill(mutant)).toBeDefined();
    },
    240_000,
  );
});
