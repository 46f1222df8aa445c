import type { AtomicClusterStatus } from './atomic-cluster.ts';
import type { ConditionType } from './condition-reasons.ts';

/** A condition as the status of an AtomicCluster has it; undefined: it was never judged. */
export function conditionOf(
  status: Pick<AtomicClusterStatus, 'conditions'> | undefined,
  type: ConditionType,
): NonNullable<AtomicClusterStatus['conditions']>[number] | undefined {
  return status?.conditions?.find((one) => one.type === type);
}
