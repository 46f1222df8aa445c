import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 100;
const HANG_GUARD_MS = 120_000;

/**
 * Waits until a condition holds.
 *
 * @throws Error with `what` when it never does.
 */
export async function eventually(
  what: string,
  holds: () => Promise<boolean>,
  hangGuardMs = HANG_GUARD_MS,
): Promise<void> {
  const end = performance.now() + hangGuardMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}
