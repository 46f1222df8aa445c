import type { Plan } from '../../operator/cluster/action.ts';
import type { Observed } from '../../operator/cluster/observed.ts';
import { SimulationRandom } from '../simulation/random.ts';
import { calmDown, strikeDisaster, strikeOnce } from './faults.ts';
import { Schedule, type Outcome } from './schedule.ts';

/** Everything of a run follows from its seed. */
export function runSeed(
  seed: number,
  { plan, traced = false }: { plan: (observed: Observed) => Plan; traced?: boolean },
): Outcome {
  const random = new SimulationRandom(seed, 'run');
  const replicas = random.integer(1, 5);
  const nodeBound = random.chance(0.5);
  const schedule = new Schedule({ seed, plan, replicas, nodeBound, traced });
  // Some runs begin with a cluster that is whole, others while it is being made.
  if (random.chance(0.7)) {
    const why = schedule.settle();
    if (why !== undefined) return schedule.outcome(`at the start: ${why}`);
  }
  const both = random.chance(0.3);
  const faultChance = random.pick([0.02, 0.1, 0.3]) ?? 0;
  schedule.killChance = random.pick([0, 0.05, 0.3]) ?? 0;
  const heardChance = random.pick([0.3, 0.7, 1]) ?? 1;
  const steps = random.integer(20, 100);
  for (let i = 0; i < steps; i++) {
    if (random.chance(faultChance)) strikeOnce(schedule);
    schedule.step({ heardChance, both });
    if (schedule.judge.violations.length > 0) return schedule.outcome(undefined);
  }
  if (random.chance(0.03)) strikeDisaster(schedule);
  schedule.killChance = 0;
  calmDown(schedule);
  return schedule.outcome(schedule.settle());
}
