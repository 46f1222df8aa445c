import { parseArgs } from 'node:util';
import { simulate } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1..100' },
    for: { type: 'string', default: '60' },
    trace: { type: 'boolean', default: false },
  },
});

/** `A..B`, both inclusive, or one number. */
function seedsFrom(text: string): number[] {
  const [from = 1, to = from] = text.split('..').map(Number);
  return Array.from({ length: to - from + 1 }, (_, place) => from + place);
}

async function main(): Promise<void> {
  const seeds = seedsFrom(values.seed ?? values.seeds);
  const totals = { counted: 0, violations: 0, faults: 0, completed: 0, leaderChanges: 0 };
  const faultsByKind: Record<string, number> = {};
  let memberChanges = 0;
  const startedAt = performance.now();
  let simulatedMs = 0;
  for (const seed of seeds) {
    const result = await simulate({
      seed,
      forMs: Number(values.for) * 1_000,
      readable: values.trace,
    });
    if (values.trace) console.log(result.lines.join('\n'));
    simulatedMs += result.simulatedMs;
    totals.faults += result.faults;
    totals.completed += result.completed;
    totals.leaderChanges += result.leaderChanges;
    memberChanges += result.memberChanges;
    for (const [kind, count] of Object.entries(result.faultsByKind)) {
      faultsByKind[kind] = (faultsByKind[kind] ?? 0) + count;
    }
    if (result.counted) totals.counted++;
    if (result.violation === undefined) continue;
    totals.violations++;
    console.log(`seed ${seed}: ${result.violation}`);
    console.log(`replay with: npm run simulate -- --seed ${seed} --trace`);
  }
  const speed = Math.round(simulatedMs / (performance.now() - startedAt));
  console.log(
    JSON.stringify({
      seeds: seeds.length,
      ...totals,
      memberChanges,
      faultsByKind,
      timesRealTime: speed,
    }),
  );
  if (totals.violations > 0) process.exitCode = 1;
}

await main();
