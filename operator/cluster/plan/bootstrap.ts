import type { Plan } from '../action.ts';
import type { MemberReport, Observed } from '../observed.ts';
import { podOf, podsOfClaims } from './membership.ts';
import { planCure } from './presence.ts';
import { LOOK_SOON_MS, waiting } from './waiting.ts';

/**
 * From nothing to a group of one: pods start for the disks there are, and when all of them are
 * seen to be empty the id of the cluster is noted and the first one is told to begin. What the
 * disks say decides; the status only says what was begun.
 */
export function planBootstrap(observed: Observed): Plan | undefined {
  const { status, statefulSet, group, claims } = observed;
  if (group !== undefined || status.lineage !== undefined) return undefined;
  if (statefulSet === undefined) return planFirstPods(observed);
  // A volume is marked once a group lives on it: it is brought back, and never begun again.
  const hasLived = claims.some(({ clusterId }) => clusterId !== undefined);
  if (hasLived || observed.pods.some(({ report }) => hasMembers(report))) return undefined;
  if (statefulSet.replicas < podsOfClaims(observed)) return undefined;
  const ordinals = new Set([0, ...claims.map(({ ordinal }) => ordinal)]);
  for (const ordinal of [...ordinals].sort((a, b) => a - b)) {
    const pod = podOf(observed, ordinal);
    const report = pod?.report;
    if (report === undefined)
      return planCure(observed) ?? waiting('Bootstrap', `${observed.name}-${String(ordinal)}`, pod);
    if (!isEmpty(report, status.clusterID)) return foreignDisks(observed, report.clusterId);
  }
  return planFirstMember(observed);
}

function planFirstPods(observed: Observed): Plan {
  const { status, claims, adoptClusterId } = observed;
  const known = adoptClusterId ?? status.clusterID;
  const marks = claims.flatMap(({ clusterId }) => clusterId ?? []);
  if (marks.some((clusterId) => clusterId !== known)) return foreignDisks(observed);
  if (marks.length > 0 && status.clusterID !== known) return recordClusterId(adoptClusterId);
  const replicas = podsOfClaims(observed);
  return {
    action: { type: 'createStatefulSet', replicas },
    operation: { type: 'Bootstrap', message: `starting ${String(replicas)} pods` },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function planFirstMember({ status: { clusterID } }: Observed): Plan {
  if (clusterID === undefined) return recordClusterId(undefined);
  return {
    action: { type: 'bootstrap', clusterId: clusterID },
    operation: { type: 'Bootstrap', message: 'the first member begins the group' },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function recordClusterId(clusterId: string | undefined): Plan {
  return {
    action: { type: 'recordClusterId', ...(clusterId !== undefined && { clusterId }) },
    operation: { type: 'Bootstrap', message: 'noting the id of the cluster' },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

function hasMembers(report: MemberReport | undefined): boolean {
  return report !== undefined && report.voters.length > 0;
}

/** A disk on which the bootstrap for `clusterId` was interrupted counts as empty. */
function isEmpty(report: MemberReport, clusterId: string | undefined): boolean {
  return (report.clusterId === '' || report.clusterId === clusterId) && report.lastIndex === 0;
}

function foreignDisks({ claims, name, status }: Observed, reported = ''): Plan {
  const ids = new Set(claims.flatMap(({ clusterId }) => clusterId ?? []));
  if (reported !== '') ids.add(reported);
  ids.delete(status.clusterID ?? '');
  const [first] = ids;
  const found = first === undefined ? 'of an unknown cluster' : `of cluster ${[...ids].join(', ')}`;
  const adopt =
    first === undefined
      ? ''
      : `to take them over, kubectl annotate ac/${name} atomicraft.dev/adopt-cluster-id=${first}; `;
  const message = `volumes data-${name}-* ${found} exist: ${adopt}to begin anew, delete them`;
  return { stalled: { reason: 'ForeignDisks', message }, requeueAfterMs: 10_000 };
}
