import { SimulationRandom } from './random.ts';
import type { FaultKind, Settings } from './settings.ts';

/** One thing that goes wrong, and when. Its details are drawn from a seed of its own. */
export type Fault = {
  /** Its place in the plan: names it when a failing run is made smaller. */
  readonly number: number;
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly durationMs: number;
  readonly seed: number;
};

/** Time for the first leader to be found and some work to be done. */
const QUIET_START_MS = 3_000;

/** Everything that goes wrong in the run of `settings`, in order. */
export function planFaults(settings: Settings, endMs: number): readonly Fault[] {
  const random = new SimulationRandom(settings.seed, 'faults');
  const kinds = [...settings.faultKinds];
  const faults: Fault[] = [];
  let atMs = QUIET_START_MS;
  for (;;) {
    atMs += random.exponential(settings.faultIntervalMs);
    const kind = random.pick(kinds);
    if (atMs > endMs || kind === undefined) break;
    const durationMs = random.between(200, 6_000);
    faults.push({ number: faults.length, kind, atMs, durationMs, seed: random.bits() });
  }
  return faults;
}
