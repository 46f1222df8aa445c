import { join } from 'node:path';
import { CONTROL_PLANE_NAMESPACE } from '../bed/addresses.ts';
import { runningPrograms } from '../bed/bed.ts';
import { run } from '../bed/command.ts';
import { inNamespace } from '../bed/network.ts';
import { ADMIN_KUBECONFIG } from '../bed/paths.ts';

/** Which cluster the tests run on: one of the user's, or the bed. */
export const ownCluster = process.env['KUBECONFIG'];

/** A command line that reaches the cluster, and the environment it needs. */
export function reaching(command: readonly string[]): {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  if (ownCluster !== undefined) return { command, env: { KUBECONFIG: ownCluster } };
  return {
    command: inNamespace(CONTROL_PLANE_NAMESPACE, command),
    env: { KUBECONFIG: ADMIN_KUBECONFIG },
  };
}

/** A program that came with the bed, or the one of that name on this machine. */
export function program(name: string): string {
  if (ownCluster !== undefined) return name;
  const programs = runningPrograms();
  if (programs === undefined) {
    throw new Error('no test cluster runs; start one: npm run cluster:up, or npm run test:cluster');
  }
  return join(programs, name);
}

/** Runs a program where the cluster can be reached and resolves with what it printed. */
export async function runInCluster(command: readonly string[], input?: string): Promise<string> {
  const { command: reached, env } = reaching(command);
  const [first = '', ...args] = reached;
  const printed = await run(first, args, { env, ...(input === undefined ? {} : { input }) });
  return printed.trim();
}
