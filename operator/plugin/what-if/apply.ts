import { quantityBytes } from '../../api/quantity.ts';
import type { Action } from '../../cluster/action.ts';
import type {
  ClaimView,
  GroupView,
  MemberReport,
  Observed,
  PodView,
  VoterView,
} from '../../cluster/observed.ts';

/** Stands for what nobody can know before it is made: a revision, a node, a disk. */
const PLANNED = 'planned';

type ObjectAction = Extract<Action, { readonly ordinal: number; readonly uid: string }>;

/**
 * The world after an action and all that follows from it, if nothing fails: pods that were asked for
 * run, members that restarted take part, newcomers have caught up. Pure.
 */
export function apply(action: Action, observed: Observed): Observed {
  if ('ordinal' in action && 'uid' in action) return applyToObject(action, observed);
  return applyToCluster(action, observed);
}

function applyToCluster(action: Exclude<Action, ObjectAction>, observed: Observed): Observed {
  switch (action.type) {
    case 'recordClusterId':
      return withClusterId(observed, action.clusterId);
    case 'createStatefulSet':
      return withReplicas(withStatefulSet(observed), action.replicas);
    case 'setReplicas':
      return withReplicas(observed, action.replicas);
    case 'bootstrap':
      return withFirstMember(observed, action.clusterId);
    case 'claimFence':
      return withGroup({ ...observed, fence: action.fence }, { fence: action.fence });
    case 'joinFresh':
      return withPod(observed, action.ordinal, { report: emptyReport(action.ordinal) });
    case 'changePeers':
      return withVoters(observed, action.voters);
    case 'transferLeader':
      return withLeader(observed, action.to);
    case 'applyTemplate':
      return withTemplate(observed, PLANNED, observed.templateHash);
    case 'rollBack': {
      const { revision, failedTemplate } = action;
      const told = { ...observed, status: { ...observed.status, failedTemplate } };
      return withTemplate(told, revision, `rolled-back-to-${revision}`);
    }
    case 'orphanPods':
      return { ...observed, statefulSet: undefined };
  }
}

function applyToObject(action: ObjectAction, observed: Observed): Observed {
  const { ordinal } = action;
  switch (action.type) {
    case 'evictPod':
    case 'deletePod':
      return withRestarted(observed, ordinal);
    case 'quarantineClaim':
      return withClaim(observed, ordinal, { quarantinedAt: observed.now });
    case 'releaseClaim':
      return withClaim(observed, ordinal, { quarantinedAt: undefined });
    case 'deleteClaim':
      return withoutClaim(observed, ordinal);
    case 'growClaim': {
      const bytes = quantityBytes(action.size);
      return withClaim(observed, ordinal, { requestedBytes: bytes, capacityBytes: bytes });
    }
  }
}

/** The controller gives equal templates the same revision: pods that were left behind fit. */
function withStatefulSet(observed: Observed): Observed {
  const { templateHash, spec, pods } = observed;
  const updateRevision = pods[0]?.revision ?? PLANNED;
  const made = { uid: PLANNED, replicas: 0, deleting: false, claimSize: spec.storage.size };
  return { ...observed, statefulSet: { ...made, templateHash, updateRevision } };
}

function withTemplate(observed: Observed, updateRevision: string, templateHash: string): Observed {
  const { statefulSet } = observed;
  return {
    ...observed,
    statefulSet: statefulSet && { ...statefulSet, updateRevision, templateHash },
  };
}

/** Pods start from the lowest ordinal that has none, and end from the highest. */
function withReplicas(observed: Observed, replicas: number): Observed {
  const { statefulSet, pods, claims, group } = observed;
  const ordinals = Array.from({ length: replicas }, (_, ordinal) => ordinal);
  const started = ordinals.filter((ordinal) => !pods.some((pod) => pod.ordinal === ordinal));
  const unclaimed = started.filter((ordinal) => !claims.some((one) => one.ordinal === ordinal));
  return {
    ...observed,
    statefulSet: statefulSet && { ...statefulSet, replicas },
    pods: [
      ...pods.filter(({ ordinal }) => ordinal < replicas),
      ...started.map((ordinal) => newPod(observed, ordinal)),
    ],
    claims: [...claims, ...unclaimed.map((ordinal) => newClaim(observed, ordinal))],
    group: group && withParticipants(group, started),
  };
}

function newPod(observed: Observed, ordinal: number): PodView {
  return {
    ...{ ordinal, uid: `${PLANNED}-${String(ordinal)}`, node: PLANNED, trouble: undefined },
    ...{ ready: true, deleting: false, report: reportOf(observed, ordinal) },
    revision: observed.statefulSet?.updateRevision ?? PLANNED,
  };
}

function newClaim({ spec }: Observed, ordinal: number): ClaimView {
  const bytes = quantityBytes(spec.storage.size);
  return {
    ...{ ordinal, uid: `${PLANNED}-${String(ordinal)}`, bound: true, deleting: false },
    ...{ clusterId: undefined, quarantinedAt: undefined, lost: false, growth: undefined },
    ...{ requestedBytes: bytes, capacityBytes: bytes },
  };
}

/** What the server of a pod finds on its volume: a member's data, a former member's, or nothing. */
function reportOf({ group, claims }: Observed, ordinal: number): MemberReport {
  const voter = group?.voters.find((one) => one.ordinal === ordinal);
  if (group !== undefined && voter !== undefined) return joinedReport(group, voter);
  const claim = claims.find((one) => one.ordinal === ordinal);
  if (claim?.clusterId === undefined) return emptyReport(ordinal);
  const { clusterId } = claim;
  const former = { clusterId, lineage: group?.lineage ?? '', joined: true, lastIndex: 1 };
  return { ...emptyReport(ordinal), ...former, incarnation: `former-${String(ordinal)}` };
}

function emptyReport(ordinal: number): MemberReport {
  return {
    ...{ incarnation: `${PLANNED}-${String(ordinal)}`, clusterId: '', lineage: '', joined: false },
    ...{ lastIndex: 0, committedIndex: 0, configurationIndex: 0, voters: [], version: '' },
  };
}

function joinedReport(group: GroupView, { incarnation, matchIndex }: VoterView): MemberReport {
  const { clusterId, lineage, commitIndex, configurationIndex, voters } = group;
  return {
    ...{ incarnation, clusterId, lineage, joined: true, configurationIndex, version: '' },
    ...{ lastIndex: matchIndex, committedIndex: commitIndex },
    voters: voters.map(({ ordinal }) => ordinal),
  };
}

function withParticipants(group: GroupView, ordinals: readonly number[]): GroupView {
  const voters = group.voters.map((voter) =>
    ordinals.includes(voter.ordinal) ? { ...voter, participating: true } : voter,
  );
  return { ...group, voters };
}

function withFirstMember(observed: Observed, clusterId: string): Observed {
  const voter = { ordinal: 0, incarnation: `${PLANNED}-0`, matchIndex: 1, participating: true };
  const group: GroupView = {
    ...{ clusterId, lineage: PLANNED, term: 1, leader: 0, commitIndex: 1, configurationIndex: 1 },
    ...{ stable: true, fence: observed.fence ?? 0, voters: [voter], learners: [] },
  };
  const status = { ...observed.status, lineage: { id: PLANNED, sequence: 0 } };
  const begun = { ...observed, status, group };
  return withClaim(withPod(begun, 0, { report: joinedReport(group, voter) }), 0, { clusterId });
}

/** Newcomers have caught up and vote; those that are not named have left and know it. */
function withVoters(observed: Observed, ordinals: readonly number[]): Observed {
  const { group } = observed;
  if (group === undefined) return observed;
  const voters = ordinals.map((ordinal) => {
    const incarnation = observed.pods.find((pod) => pod.ordinal === ordinal)?.report?.incarnation;
    const newcomer = { ordinal, incarnation: incarnation ?? '', participating: true };
    return (
      group.voters.find((voter) => voter.ordinal === ordinal) ?? {
        ...newcomer,
        matchIndex: group.commitIndex,
      }
    );
  });
  const configurationIndex = group.configurationIndex + 1;
  const changed = { ...group, voters, configurationIndex, stable: true };
  return voters.reduce<Observed>(
    (world, voter) => {
      const { clusterId } = changed;
      const joined = withPod(world, voter.ordinal, { report: joinedReport(changed, voter) });
      return withClaim(joined, voter.ordinal, { clusterId });
    },
    { ...observed, group: changed },
  );
}

/** It comes back with the template of the StatefulSet, on the same volume, and takes part. */
function withRestarted(observed: Observed, ordinal: number): Observed {
  const { statefulSet, pods, group } = observed;
  const before = pods.find((pod) => pod.ordinal === ordinal);
  const restarted = withPod(observed, ordinal, {
    ...{ ready: true, deleting: false, trouble: undefined, node: before?.node ?? PLANNED },
    uid: `${before?.uid ?? ''}-${PLANNED}`,
    revision: statefulSet?.updateRevision ?? PLANNED,
    report: before?.report ?? reportOf(observed, ordinal),
  });
  if (group === undefined) return restarted;
  const term = group.leader === ordinal ? group.term + 1 : group.term;
  return { ...restarted, group: { ...withParticipants(group, [ordinal]), term } };
}

/** Its pod, which waited for it, gets a new one. */
function withoutClaim(observed: Observed, ordinal: number): Observed {
  const claims = observed.claims.filter((claim) => claim.ordinal !== ordinal);
  if (!observed.pods.some((pod) => pod.ordinal === ordinal)) return { ...observed, claims };
  const renewed = { ...observed, claims: [...claims, newClaim(observed, ordinal)] };
  return withPod(renewed, ordinal, newPod(renewed, ordinal));
}

function withClusterId(observed: Observed, clusterID = PLANNED): Observed {
  return { ...observed, status: { ...observed.status, clusterID } };
}

function withLeader(observed: Observed, leader: number): Observed {
  return withGroup(observed, { leader, term: (observed.group?.term ?? 0) + 1 });
}

function withGroup(observed: Observed, change: Partial<GroupView>): Observed {
  const { group } = observed;
  return { ...observed, group: group && { ...group, ...change } };
}

function withPod(observed: Observed, ordinal: number, change: Partial<PodView>): Observed {
  const pods = observed.pods.map((pod) => (pod.ordinal === ordinal ? { ...pod, ...change } : pod));
  return { ...observed, pods };
}

function withClaim(observed: Observed, ordinal: number, change: Partial<ClaimView>): Observed {
  const claims = observed.claims.map((claim) =>
    claim.ordinal === ordinal ? { ...claim, ...change } : claim,
  );
  return { ...observed, claims };
}
