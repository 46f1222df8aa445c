import { argv } from 'node:process';
import { plan } from '../../operator/cluster/plan/plan.ts';
import { runSeed } from './random-schedule.ts';

// `node test/model/main.ts 7` shows one run step by step; `1 10000` counts what goes wrong in many.
const [first = '1', last = first] = argv.slice(2);
const traced = first === last;
const seedsByFailure = new Map<string, number[]>();
for (let seed = Number(first); seed <= Number(last); seed++) {
  const { trace, violations, unsettled } = runSeed(seed, { plan, traced });
  if (traced) console.log(trace.join('\n'));
  const notSettled = unsettled === undefined ? [] : [`not settled: ${unsettled}`];
  for (const text of [...violations, ...notSettled]) {
    const kind = text.replaceAll(/\d+/g, '#');
    seedsByFailure.set(kind, [...(seedsByFailure.get(kind) ?? []), seed]);
  }
}
for (const [kind, seeds] of seedsByFailure) {
  console.log(`${String(seeds.length)} times: ${kind} (seeds ${seeds.slice(0, 5).join(', ')})`);
}
