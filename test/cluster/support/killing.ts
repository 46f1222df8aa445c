import { setTimeout as pause } from 'node:timers/promises';
import { createPrng } from '../../../server/raft/core/prng.ts';
import type { OperatorProcess } from './operator-process.ts';

/** How long an operator lives between two kills. */
const LIFE_MIN_MS = 500;
const LIFE_RANGE_MS = 4_000;

export type Kills = {
  /** Decides when. */
  readonly seed: number;
  readonly kills: number;
};

/** Kills an operator again and again, and starts the next at once, while `work` goes on. */
export async function killing(
  operator: OperatorProcess,
  { seed, kills }: Kills,
  work: () => Promise<void>,
): Promise<void> {
  const prng = createPrng(seed);
  const killer = async (): Promise<void> => {
    for (let kill = 0; kill < kills; kill++) {
      await pause(LIFE_MIN_MS + prng.next() * LIFE_RANGE_MS);
      await operator.kill();
      operator.start();
    }
  };
  await Promise.all([work(), killer()]);
}
