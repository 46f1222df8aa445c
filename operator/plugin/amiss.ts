import type { AtomicClusterStatus } from '../api/atomic-cluster.ts';
import type { ConditionType } from '../api/condition-reasons.ts';

type Condition = NonNullable<AtomicClusterStatus['conditions']>[number];

/** The status of each condition that a person should look at. */
const AMISS: Readonly<Partial<Record<ConditionType, string>>> = {
  Stalled: 'True',
  QuorumLost: 'True',
  Degraded: 'True',
  LineageConsistent: 'False',
  StorageReady: 'False',
  SpreadDegraded: 'True',
  MembersUpToDate: 'False',
};

/** The conditions that are not as they should be. */
export function conditionsAmiss(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.filter(({ type, status }) => AMISS[type as ConditionType] === status);
}
