import { env } from 'node:process';
import { describe, expect, it } from '@jest/globals';
import { plan } from '../../operator/cluster/plan/plan.ts';
import { runSeed } from './random-schedule.ts';

const SEEDS = 2_000;
const BATCH = 500;

/** What went wrong with a seed, and how it came to that; empty when nothing did. */
function report(seed: number): string {
  const { violations, unsettled } = runSeed(seed, { plan });
  if (violations.length === 0 && unsettled === undefined) return '';
  const { trace } = runSeed(seed, { plan, traced: true });
  const why = [...violations, ...(unsettled === undefined ? [] : [`not settled: ${unsettled}`])];
  const again = `again: MODEL_SEED=${String(seed)} npm test -- test/model/schedules`;
  return [...trace, `seed ${String(seed)}`, ...why, again].join('\n');
}

describe('under random faults nothing is harmed and everything converges', () => {
  const one = env['MODEL_SEED'];
  if (one !== undefined) {
    it(`seed ${one}`, () => {
      const { trace } = runSeed(Number(one), { plan, traced: true });
      process.stdout.write(`${trace.join('\n')}\n`);
      expect(report(Number(one))).toBe('');
    });
    return;
  }
  for (let first = 1; first <= SEEDS; first += BATCH) {
    it(`seeds ${String(first)} to ${String(first + BATCH - 1)}`, () => {
      for (let seed = first; seed < first + BATCH; seed++) {
        const text = report(seed);
        if (text !== '') throw new Error(text);
      }
      expect.assertions(0);
    });
  }
});
