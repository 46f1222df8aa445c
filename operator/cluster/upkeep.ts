import type {
  KubernetesObject,
  OwnerReference,
  ResourceType,
} from '../controller/kubernetes-object.ts';
import { LABELS } from '../resources/names.ts';
import { disruptionBudget, networkPolicy, serviceAccount } from '../resources/protection.ts';
import {
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../resources/resource-types.ts';
import { services } from '../resources/services.ts';
import type { Observed, PodView } from './observed.ts';
import { podsNeeded, voterOf } from './plan/membership.ts';

/** An object that is to exist as it stands here, whatever else is in it. */
export type WantedObject = { readonly type: ResourceType; readonly object: KubernetesObject };

/** What a cluster has beside its pods: nothing in it can hurt the group. */
export function wantedObjects(observed: Observed, owner: OwnerReference): readonly WantedObject[] {
  const { spec, group } = observed;
  const voters = group?.voters.length ?? observed.status.voters ?? 0;
  const sizes = { voters, replicas: spec.replicas };
  const { podDisruptionBudget } = spec.disruption;
  return [
    { type: SERVICE_ACCOUNTS, object: serviceAccount(observed, owner) },
    ...services(observed, { members: membersAtMost(observed), owner }).map((object) => ({
      ...{ type: SERVICES, object },
    })),
    ...(podDisruptionBudget === 'Enabled'
      ? [{ type: DISRUPTION_BUDGETS, object: disruptionBudget(observed, sizes, owner) }]
      : []),
    ...(spec.networkPolicy.enabled
      ? [{ type: NETWORK_POLICIES, object: networkPolicy(observed, owner) }]
      : []),
  ];
}

/** How many members there are, may be soon, or still have a pod. */
function membersAtMost(observed: Observed): number {
  const { spec, statefulSet, pods } = observed;
  const ofPods = pods.map(({ ordinal }) => ordinal + 1);
  return Math.max(spec.replicas, statefulSet?.replicas ?? 0, podsNeeded(observed), ...ofPods);
}

/** The labels by which Services and the disruption budget find a pod. */
export function wantedPodLabels(
  observed: Observed,
  { ordinal }: PodView,
): Readonly<Record<string, string | null>> | undefined {
  const { group } = observed;
  // Without a leader nothing is known: what was last known stays.
  if (group === undefined) return undefined;
  const votes = voterOf(observed, ordinal) !== undefined;
  const role = group.leader === ordinal ? 'leader' : 'follower';
  return { [LABELS.voter]: votes ? 'true' : null, [LABELS.role]: votes ? role : null };
}

/** Whether everything in `wanted` stands in `live` with the same value. */
export function isContained(wanted: unknown, live: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return wanted === live;
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(live) &&
      live.length === wanted.length &&
      wanted.every((element, at) => isContained(element, live[at]))
    );
  }
  if (typeof live !== 'object' || live === null) return false;
  const fields = live as Readonly<Record<string, unknown>>;
  return Object.entries(wanted).every(([name, value]) => isContained(value, fields[name]));
}
