import type { FakeClock } from '../kubernetes/fake-clock.ts';
import type { FakeKubernetes } from './fake-kubernetes.ts';

const STEP_MS = 1_000;
/** A hang, not a deadline. */
const STEPS_MAX = 600;

/** Lets time pass until so many clusters need nothing more; resolves with how many do not. */
export async function stepUntilSettled(
  kubernetes: FakeKubernetes,
  clock: FakeClock,
  count = 1,
): Promise<number> {
  for (let step = 0; step < STEPS_MAX && kubernetes.settled() < count; step++) {
    await clock.advance(STEP_MS);
  }
  return kubernetes.settled();
}
