import { durationMs } from '../../api/duration.ts';
import type { Plan } from '../action.ts';
import type { Observed, PodView } from '../observed.ts';
import { afterLast, podsNeeded } from './membership.ts';
import { LOOK_IDLE_MS, LOOK_LATER_MS, LOOK_SOON_MS } from './waiting.ts';

const NO_LEADER = {
  type: 'Repair',
  message: 'no member leads with a quorum behind it',
} as const;

/** Pods off, or back on with all members at once: one alone would find no quorum. */
export function planHibernation(observed: Observed): Plan | undefined {
  const { spec, statefulSet } = observed;
  if (!spec.hibernate || statefulSet === undefined) return undefined;
  if (statefulSet.replicas === 0) return { requeueAfterMs: LOOK_IDLE_MS };
  return {
    action: { type: 'setReplicas', replicas: 0 },
    operation: { type: 'Hibernate', message: 'stopping all pods' },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** Every member has a pod: whoever scaled the StatefulSet by hand, or deleted it, is overruled. */
export function planPods(observed: Observed): Plan | undefined {
  const { statefulSet } = observed;
  const needed = podsNeeded(observed);
  const operation = {
    type: 'Repair',
    message: `the members need ${String(needed)} pods`,
  } as const;
  if (statefulSet === undefined) {
    // Pods of a StatefulSet that was deleted may still vote in a change that is under way.
    const replicas = Math.max(needed, afterLast(observed.pods.map(({ ordinal }) => ordinal)));
    const action = { type: 'createStatefulSet', replicas } as const;
    return { action, operation, requeueAfterMs: LOOK_SOON_MS };
  }
  if (statefulSet.deleting) return { operation, requeueAfterMs: LOOK_LATER_MS };
  if (statefulSet.replicas >= needed) return undefined;
  const action = { type: 'setReplicas', replicas: needed } as const;
  return { action, operation, requeueAfterMs: LOOK_SOON_MS };
}

/** All disks belong to one cluster and one history; otherwise nothing at all is done. */
export function planLineage({ group, pods, status, name }: Observed): Plan | undefined {
  const clusterId = status.clusterID ?? group?.clusterId;
  const lineage = status.lineage?.id ?? group?.lineage;
  const strange = (own: string, expected: string | undefined): boolean =>
    own !== '' && expected !== undefined && own !== expected;
  const odd = pods.find(
    ({ report }) =>
      report !== undefined &&
      (strange(report.clusterId, clusterId) || (report.joined && strange(report.lineage, lineage))),
  );
  const groupOdd =
    group !== undefined && (strange(group.clusterId, clusterId) || strange(group.lineage, lineage));
  if (odd === undefined && !groupOdd) return undefined;
  const who = odd === undefined ? 'the leader' : `${name}-${String(odd.ordinal)}`;
  const message = `${who} belongs to another cluster or history than ${clusterId ?? ''}; nothing is changed: look at it with atomic admin status`;
  return { stalled: { reason: 'LineageInconsistent', message }, requeueAfterMs: LOOK_IDLE_MS };
}

/**
 * Without a leader nothing is removed, replaced or scaled. Pods that do not run and have an old
 * template are the exception: only their end brings the template that may mend them.
 */
export function planWithoutLeader(observed: Observed): Plan | undefined {
  const { group, spec, facts } = observed;
  if (group !== undefined) return undefined;
  const cure = planCure(observed);
  if (cure !== undefined) return cure;
  const graceMs = durationMs(spec.disasterRecovery.quorumLossGracePeriod);
  if ((facts.get('noLeader')?.heldMs ?? 0) < graceMs) {
    return { operation: NO_LEADER, requeueAfterMs: LOOK_LATER_MS };
  }
  const message =
    'a majority of the members has not taken part for longer than the grace period: bring their nodes and volumes back; nothing destructive is done';
  return {
    stalled: { reason: 'QuorumLost', message },
    operation: NO_LEADER,
    requeueAfterMs: LOOK_LATER_MS,
  };
}

/** A new template for pods that do not run with the one they have, or run and never get on. */
export function planCure(observed: Observed): Plan | undefined {
  const { statefulSet, pods, templateHash, status } = observed;
  if (statefulSet === undefined) return undefined;
  const patients = isStuck(observed) ? pods : pods.filter(isBroken);
  if (patients.length === 0) return undefined;
  if (statefulSet.templateHash !== templateHash && templateHash !== status.failedTemplate) {
    const action = { type: 'applyTemplate' } as const;
    return { action, operation: NO_LEADER, requeueAfterMs: LOOK_SOON_MS };
  }
  const revision = statefulSet.updateRevision;
  const outdated = patients.find((pod) => revision !== undefined && pod.revision !== revision);
  if (outdated === undefined) return undefined;
  const { ordinal, uid } = outdated;
  const action = { type: 'deletePod', ordinal, uid } as const;
  return { action, operation: NO_LEADER, requeueAfterMs: LOOK_LATER_MS };
}

/** All pods that run have answered for long, so that a leader would have been seen. */
function isStuck({ spec, facts }: Observed): boolean {
  const heldMs = facts.get('noLeaderOfAll')?.heldMs ?? 0;
  return heldMs >= durationMs(spec.updateStrategy.canaryDeadline);
}

/** Its server does not answer, and it is known why not. */
export function isBroken({ report, deleting, trouble }: PodView): boolean {
  return report === undefined && !deleting && trouble !== undefined;
}
