import { describe, expect, it } from '@jest/globals';
import { plan } from '../../operator/cluster/plan/plan.ts';
import { SimulationRandom } from '../simulation/random.ts';
import { loseDiskOf } from './faults.ts';
import { Schedule, type Outcome } from './schedule.ts';

type Scenario = {
  readonly from: number;
  readonly steps: readonly ((schedule: Schedule) => void)[];
};

const scaleTo =
  (replicas: number) =>
  ({ world }: Schedule): void => {
    const { spec } = world.objects.cluster ?? {};
    if (spec !== undefined) world.patchCluster({ spec: { ...spec, replicas } });
  };

const roll = ({ world }: Schedule): void => {
  const { spec } = world.objects.cluster ?? {};
  if (spec !== undefined) world.patchCluster({ spec: { ...spec, version: 'v2' } });
};

const enlarge = ({ world }: Schedule): void => {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return;
  world.patchCluster({ spec: { ...spec, storage: { ...spec.storage, size: '5Gi' } } });
};

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  create: { from: 0, steps: [() => undefined] },
  'scale 1, 3, 5': { from: 1, steps: [scaleTo(3), scaleTo(5)] },
  'scale 5, 3, 1': { from: 5, steps: [scaleTo(3), scaleTo(1)] },
  'scale 2, 4, 3': { from: 2, steps: [scaleTo(4), scaleTo(3)] },
  roll: { from: 3, steps: [roll] },
  'larger volumes': { from: 3, steps: [enlarge] },
  replace: { from: 3, steps: [(schedule) => loseDiskOf(schedule, 1)] },
};
const PAIRS = 40;

function run({ from, steps }: Scenario, killedAfter: readonly number[], traced = false): Outcome {
  const replicas = from === 0 ? 3 : from;
  const schedule = new Schedule({ seed: 7, plan, replicas, nodeBound: false, traced });
  const start = from === 0 ? undefined : schedule.settle();
  if (start !== undefined) return schedule.outcome(`at the start: ${start}`);
  schedule.killAfter(killedAfter);
  for (const step of steps) {
    step(schedule);
    const unsettled = schedule.settle();
    if (unsettled !== undefined) return schedule.outcome(unsettled);
  }
  return schedule.outcome(undefined);
}

function report(scenario: Scenario, killedAfter: readonly number[]): string {
  const { violations, unsettled } = run(scenario, killedAfter);
  if (violations.length === 0 && unsettled === undefined) return '';
  const { trace } = run(scenario, killedAfter, true);
  const kills = `killed after calls ${killedAfter.join(' and ')}`;
  return [...trace, kills, ...violations, unsettled ?? ''].join('\n');
}

describe.each(Object.entries(SCENARIOS))('%s', (_, scenario) => {
  const { calls } = run(scenario, []);

  it('converges with the operator killed after each of its calls', () => {
    expect(calls).toBeGreaterThan(3);
    for (let call = 1; call <= calls; call++) expect(report(scenario, [call])).toBe('');
  });

  it('converges with the operator killed twice', () => {
    const random = new SimulationRandom(calls, 'pairs');
    for (let pair = 0; pair < PAIRS; pair++) {
      const first = random.integer(1, calls);
      expect(report(scenario, [first, first + random.integer(1, calls)])).toBe('');
    }
  });
});
