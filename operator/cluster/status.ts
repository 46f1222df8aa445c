import type { AtomicClusterStatus, MemberState } from '../api/atomic-cluster.ts';
import { PORTS, podName, selectorLabels } from '../resources/names.ts';
import type { Plan } from './action.ts';
import { conditionsOf, type ConditionState } from './conditions.ts';
import type { Observed, PodView } from './observed.ts';
import {
  faultTolerance,
  hasLostDisk,
  participating,
  quorumOf,
  voterOf,
} from './plan/membership.ts';

const WATERMARK_INTERVAL_MS = 30_000;

/** The status without the times of its conditions, which depend on what was there before. */
export type ComputedStatus = Omit<AtomicClusterStatus, 'conditions'> & {
  readonly conditions: readonly ConditionState[];
};

/**
 * What is told of a cluster. It changes only when something happened: values that always move, such
 * as indexes, belong to the metrics.
 */
export function statusOf(observed: Observed, plan: Plan): ComputedStatus {
  const { name, namespace, status, group, pods, statefulSet } = observed;
  const clusterID = status.clusterID ?? group?.clusterId;
  return {
    observedGeneration: observed.generation,
    ...(clusterID !== undefined && { clusterID }),
    ...lineageOf(observed),
    replicas: pods.length,
    readyReplicas: group === undefined ? 0 : participating(group).length,
    updatedReplicas: pods.filter(({ revision }) => revision === statefulSet?.updateRevision).length,
    ...groupStatus(observed),
    ...(status.version !== undefined && { version: status.version }),
    selector: Object.entries(selectorLabels(name))
      .map(([label, value]) => `${label}=${value}`)
      .join(','),
    endpoint: `${name}.${namespace}.svc:${String(PORTS.grpc)}`,
    ...watermarkOf(observed),
    ...revisionsOf(observed),
    members: membersOf(observed),
    ...operationOf(observed, plan),
    conditions: conditionsOf(observed, plan),
  };
}

function lineageOf({ status, group }: Observed): Pick<AtomicClusterStatus, 'lineage'> {
  const id = status.lineage?.id ?? group?.lineage;
  if (id === undefined || id === '') return {};
  return { lineage: { id, sequence: status.lineage?.sequence ?? 0 } };
}

function groupStatus({ group, name, status }: Observed): Partial<AtomicClusterStatus> {
  if (group === undefined) {
    // What the group was last seen to be; who leads is not known.
    const { voters, quorum, configurationIndex } = status;
    return {
      ...(voters !== undefined && { voters }),
      ...(quorum !== undefined && { quorum }),
      ...(configurationIndex !== undefined && { configurationIndex }),
    };
  }
  const voters = group.voters.length;
  return {
    voters,
    ...(group.leader !== undefined && { leader: podName(name, group.leader) }),
    term: group.term,
    quorum: quorumOf(voters),
    faultTolerance: faultTolerance(group),
    configurationIndex: group.configurationIndex,
  };
}

/** How far the group was known to be committed, for whoever must judge a disaster. */
function watermarkOf({ group, status, now }: Observed): Pick<AtomicClusterStatus, 'watermark'> {
  const { watermark } = status;
  const ageMs =
    watermark === undefined ? Infinity : Date.parse(now) - Date.parse(watermark.observedAt);
  const advanced = (group?.commitIndex ?? 0) > (watermark?.commitIndex ?? 0);
  if (group === undefined || !advanced || ageMs < WATERMARK_INTERVAL_MS) {
    return watermark === undefined ? {} : { watermark };
  }
  const observedAt = `${now.slice(0, 19)}Z`;
  return { watermark: { term: group.term, commitIndex: group.commitIndex, observedAt } };
}

function revisionsOf(observed: Observed): Partial<AtomicClusterStatus> {
  const { status, statefulSet, templateHash } = observed;
  const { failedTemplate } = status;
  const good = runsWell(observed) ? statefulSet?.updateRevision : status.lastGoodRevision;
  return {
    ...(good !== undefined && { lastGoodRevision: good }),
    ...(failedTemplate === templateHash && { failedTemplate }),
  };
}

/** Every voter takes part, on a pod of the current revision. */
function runsWell({ group, pods, statefulSet }: Observed): boolean {
  const revision = statefulSet?.updateRevision;
  if (group === undefined || revision === undefined) return false;
  return group.voters.every(
    ({ ordinal, participating }) =>
      participating && pods.some((pod) => pod.ordinal === ordinal && pod.revision === revision),
  );
}

function membersOf(observed: Observed): MemberState[] {
  const voters = observed.group?.voters.map(({ ordinal }) => ordinal) ?? [];
  const ordinals = new Set([...voters, ...observed.pods.map(({ ordinal }) => ordinal)]);
  return [...ordinals].sort((a, b) => a - b).map((ordinal) => memberOf(observed, ordinal));
}

function memberOf(observed: Observed, ordinal: number): MemberState {
  const pod = observed.pods.find((one) => one.ordinal === ordinal);
  const name = podName(observed.name, ordinal);
  const before = observed.status.members?.find((one) => one.name === name);
  const voted = before?.votes ?? false;
  const votes = observed.group === undefined ? voted : voterOf(observed, ordinal) !== undefined;
  const incarnation = pod?.report?.incarnation ?? before?.incarnation;
  return {
    name,
    ...(incarnation !== undefined && { incarnation }),
    role: roleOf(observed, ordinal, votes),
    state: stateOf(observed, ordinal, pod),
    votes,
    ...whereabouts(pod),
  };
}

function whereabouts(pod: PodView | undefined): Pick<MemberState, 'node' | 'version'> {
  const { node, report } = pod ?? {};
  return {
    ...(report !== undefined && report.version !== '' && { version: report.version }),
    ...(node !== undefined && { node }),
  };
}

function roleOf({ group }: Observed, ordinal: number, votes: boolean): MemberState['role'] {
  if (!votes) return 'None';
  return group?.leader === ordinal ? 'Leader' : 'Follower';
}

function stateOf(
  observed: Observed,
  ordinal: number,
  pod: PodView | undefined,
): MemberState['state'] {
  const voter = voterOf(observed, ordinal);
  if (voter?.participating === true) return 'Participating';
  if (pod?.report === undefined) return 'Unreachable';
  if (voter === undefined) {
    if (!pod.report.joined) return 'Joining';
    // Only a leader knows who has been removed.
    return observed.group === undefined ? 'Lagging' : 'Removed';
  }
  return hasLostDisk(voter, pod) ? 'DiskLost' : 'Lagging';
}

function operationOf(
  { status, now }: Observed,
  { operation }: Plan,
): Pick<AtomicClusterStatus, 'operation'> {
  if (operation === undefined) return {};
  const { type, message } = operation;
  const before = status.operation;
  const startedAt = before?.type === type ? before.startedAt : `${now.slice(0, 19)}Z`;
  return { operation: { type, message: message.slice(0, 1_024), startedAt } };
}
