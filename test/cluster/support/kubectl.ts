import { kubectl as run } from '../bed/control-plane.ts';
import { runningPrograms } from '../bed/bed.ts';

/**
 * Runs kubectl as the administrator of the bed and resolves with what it printed.
 *
 * @throws Error when no cluster runs or the command fails.
 */
export async function kubectl(...args: readonly string[]): Promise<string> {
  const programs = runningPrograms();
  if (programs === undefined) throw new Error('no test cluster runs');
  return (await run(programs, args)).trim();
}

/** Creates or changes objects. */
export async function apply(...objects: readonly object[]): Promise<void> {
  const programs = runningPrograms();
  if (programs === undefined) throw new Error('no test cluster runs');
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await run(programs, ['apply', '-f', '-'], JSON.stringify(list));
}
