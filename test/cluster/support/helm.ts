import { join, resolve } from 'node:path';
import { program, runInCluster } from './cluster-access.ts';

const CHARTS = resolve(import.meta.dirname, '../../../helm');

export const OPERATOR_CHART = join(CHARTS, 'atomic-operator');
export const CLUSTER_CHART = join(CHARTS, 'atomic-cluster');

/** Runs helm against the cluster and resolves with what it printed. */
export function helm(...args: readonly string[]): Promise<string> {
  return runInCluster([program('helm'), ...args]);
}
