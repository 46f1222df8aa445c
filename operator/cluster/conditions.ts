import type { ConditionType, ReasonOf } from '../api/condition-reasons.ts';
import { claimName } from '../resources/names.ts';
import type { OperationType, Plan } from './action.ts';
import type { GroupView, Observed } from './observed.ts';
import { faultTolerance, participating, quorumOf } from './plan/membership.ts';
import { lateClaims } from './plan/volumes.ts';

/** A condition as it is now, without since when. */
export type ConditionState = {
  readonly [T in ConditionType]: {
    readonly type: T;
    readonly status: 'True' | 'False' | 'Unknown';
    readonly reason: ReasonOf<T>;
    readonly message: string;
  };
}[ConditionType];

/** Every condition of a cluster that could be looked at. */
export function conditionsOf(observed: Observed, plan: Plan): readonly ConditionState[] {
  return [
    ready(observed, plan),
    available(observed),
    degraded(observed),
    reconciling(observed, plan),
    stalled(plan),
    quorumLost(observed, plan),
    lineageConsistent(observed, plan),
    membersUpToDate(observed),
    storageReady(observed, plan),
    spreadDegraded(observed),
    monitored(observed),
    paused(observed),
    hibernated(observed),
  ];
}

/** What is said when the operator could not look at all: it must not go on saying "ready". */
export function unknownConditions(message: string): readonly ConditionState[] {
  return [
    { type: 'Ready', status: 'Unknown', reason: 'Unknown', message },
    { type: 'Available', status: 'Unknown', reason: 'Unknown', message },
    { type: 'Degraded', status: 'Unknown', reason: 'Unknown', message },
  ];
}

/** Members go on while their volumes grow. */
const READY_DURING: Readonly<Record<Exclude<OperationType, 'Grow'>, ReasonOf<'Ready'>>> = {
  Bootstrap: 'Creating',
  ScaleUp: 'Scaling',
  ScaleDown: 'Scaling',
  Replace: 'Replacing',
  Roll: 'Rolling',
  RollBack: 'Rolling',
  Repair: 'MembersMissing',
  Hibernate: 'Hibernated',
};

function ready(observed: Observed, plan: Plan): ConditionState {
  const { group, spec } = observed;
  const no = (reason: ReasonOf<'Ready'>, message: string): ConditionState => ({
    ...{ type: 'Ready', status: 'False', reason, message },
  });
  if (spec.hibernate) return no('Hibernated', 'the pods are off: set spec.hibernate: false');
  if (plan.stalled?.reason === 'QuorumLost') return no('QuorumLost', plan.stalled.message);
  if (plan.stalled !== undefined) return no('Stalled', plan.stalled.message);
  if (plan.operation !== undefined && plan.operation.type !== 'Grow') {
    const { type, message } = plan.operation;
    return no(group === undefined ? withoutLeader(observed) : READY_DURING[type], message);
  }
  if (group === undefined) return no(withoutLeader(observed), 'no member leads with a quorum');
  const missing = group.voters.length - participating(group).length;
  if (missing > 0 || group.voters.length !== spec.replicas) {
    const text = `${String(participating(group).length)} of ${String(spec.replicas)} members take part`;
    return no('MembersMissing', text);
  }
  const message = `${String(group.voters.length)} members take part`;
  return { type: 'Ready', status: 'True', reason: spec.paused ? 'Paused' : 'Running', message };
}

function withoutLeader({ status }: Observed): 'Creating' | 'NoLeader' {
  return status.lineage === undefined ? 'Creating' : 'NoLeader';
}

function available(observed: Observed): ConditionState {
  const { group, spec, name } = observed;
  if (group !== undefined) {
    const message = `${name}-${String(group.leader ?? '?')} leads in term ${String(group.term)}`;
    return { type: 'Available', status: 'True', reason: 'Leader', message };
  }
  const reason = spec.hibernate ? 'Hibernated' : withoutLeader(observed);
  const message = spec.hibernate ? 'the pods are off' : 'no member leads with a quorum';
  return { type: 'Available', status: 'False', reason, message };
}

function degraded(observed: Observed): ConditionState {
  const { group, spec } = observed;
  if (group === undefined) {
    const reason = spec.hibernate ? 'Hibernated' : withoutLeader(observed);
    const message = spec.hibernate ? 'the pods are off' : 'no member leads with a quorum';
    return { type: 'Degraded', status: spec.hibernate ? 'False' : 'True', reason, message };
  }
  const tolerance = faultTolerance(group);
  const message = `${String(tolerance)} more members may fail`;
  const designed = spec.replicas - quorumOf(spec.replicas);
  if (tolerance < designed) {
    return { type: 'Degraded', status: 'True', reason: 'MembersMissing', message };
  }
  const reason = designed === 0 ? 'ToleranceZero' : 'AllMembersParticipate';
  return { type: 'Degraded', status: 'False', reason, message };
}

function reconciling({ spec }: Observed, { operation, stalled, action }: Plan): ConditionState {
  const no = (reason: ReasonOf<'Reconciling'>, message: string): ConditionState => ({
    ...{ type: 'Reconciling', status: 'False', reason, message },
  });
  if (spec.paused) return no('Paused', 'spec.paused is set');
  if (stalled !== undefined) return no('Stalled', stalled.message);
  if (operation === undefined) return no('Converged', 'nothing is left to do');
  const reason = action === undefined ? 'Waiting' : 'Operation';
  const message = `${operation.type}: ${operation.message}`;
  return { type: 'Reconciling', status: 'True', reason, message };
}

function stalled({ stalled: why }: Plan): ConditionState {
  if (why === undefined) {
    const message = 'nothing is in the way';
    return { type: 'Stalled', status: 'False', reason: 'Progressing', message };
  }
  return { type: 'Stalled', status: 'True', reason: why.reason, message: why.message };
}

function quorumLost(observed: Observed, plan: Plan): ConditionState {
  const { group, spec, status } = observed;
  const no = (reason: ReasonOf<'QuorumLost'>, message: string): ConditionState => ({
    ...{ type: 'QuorumLost', status: 'False', reason, message },
  });
  if (group !== undefined) return no('QuorumPresent', 'a quorum takes part');
  if (spec.hibernate) return no('Hibernated', 'the pods are off');
  if (status.lineage === undefined) return no('Creating', 'the group does not exist yet');
  if (plan.stalled?.reason !== 'QuorumLost') return no('NotYet', 'no leader is known at present');
  const { message } = plan.stalled;
  return { type: 'QuorumLost', status: 'True', reason: 'MajorityMissing', message };
}

function lineageConsistent({ pods }: Observed, { stalled: why }: Plan): ConditionState {
  const type = 'LineageConsistent';
  if (why?.reason === 'LineageInconsistent') {
    return { type, status: 'False', reason: 'TwoHistories', message: why.message };
  }
  if (!pods.some(({ report }) => report !== undefined)) {
    return { type, status: 'Unknown', reason: 'Unknown', message: 'no server answers' };
  }
  const message = 'all disks that were seen belong to one history';
  return { type, status: 'True', reason: 'OneHistory', message };
}

function membersUpToDate({ statefulSet, pods, status, templateHash }: Observed): ConditionState {
  const type = 'MembersUpToDate';
  if (status.failedTemplate === templateHash) {
    const message = 'the last change failed and was taken back';
    return { type, status: 'False', reason: 'RolledBack', message };
  }
  const revision = statefulSet?.updateRevision;
  if (revision === undefined) {
    const message = 'the StatefulSet has not been looked at yet';
    return { type, status: 'Unknown', reason: 'Unknown', message };
  }
  const outdated = pods.filter((pod) => pod.revision !== revision).length;
  if (outdated > 0 || statefulSet?.templateHash !== templateHash) {
    const message = `${String(outdated)} of ${String(pods.length)} pods have an older template`;
    return { type, status: 'False', reason: 'Outdated', message };
  }
  return { type, status: 'True', reason: 'UpToDate', message: `revision ${revision}` };
}

function storageReady(observed: Observed, { operation }: Plan): ConditionState {
  const { claims, spec, name, growthRefused } = observed;
  const type = 'StorageReady';
  const used = claims.filter(({ ordinal }) => ordinal < spec.replicas);
  const late = lateClaims({ claims, spec }).map(({ ordinal }) => claimName(name, ordinal));
  if (used.length === 0) {
    return { type, status: 'Unknown', reason: 'Unknown', message: 'there are no volumes yet' };
  }
  const waiting = used.filter(({ bound }) => !bound).length;
  if (waiting === 0 && late.length > 0) {
    const { size } = spec.storage;
    if (growthRefused !== undefined) {
      const message = `${late.join(', ')} cannot grow to ${size}: ${growthRefused}`;
      return { type, status: 'False', reason: 'GrowthRefused', message };
    }
    const message = `${late.join(', ')} are smaller than ${size}: ${operation?.message ?? 'they grow when nothing else is to be done'}`;
    return { type, status: 'False', reason: 'Growing', message };
  }
  if (waiting === 0) {
    return { type, status: 'True', reason: 'Bound', message: `${String(used.length)} volumes` };
  }
  const { storageClassName } = spec.storage;
  const storageClass = storageClassName === undefined ? 'by default' : `"${storageClassName}"`;
  const message = `${String(waiting)} volumes are not bound, of the storage class ${storageClass}: look at the events of the claims`;
  return { type, status: 'False', reason: 'Pending', message };
}

function spreadDegraded({ group, pods }: Observed): ConditionState {
  const type = 'SpreadDegraded';
  const crowded = group === undefined ? undefined : crowdedNode(group, pods);
  if (crowded === undefined) {
    const message = 'no single node holds the quorum in its hands';
    return { type, status: 'False', reason: 'Spread', message };
  }
  const message = `the loss of node ${crowded} would lose the quorum`;
  return { type, status: 'True', reason: 'OneNode', message };
}

function crowdedNode(group: GroupView, pods: Observed['pods']): string | undefined {
  const voters = new Map<string, number>();
  for (const { ordinal } of group.voters) {
    const node = pods.find((pod) => pod.ordinal === ordinal)?.node;
    if (node !== undefined) voters.set(node, (voters.get(node) ?? 0) + 1);
  }
  const tolerated = group.voters.length - quorumOf(group.voters.length);
  // A group that stands no loss at all is told so by Degraded.
  if (tolerated === 0) return undefined;
  return [...voters].find(([, count]) => count > tolerated)?.[0];
}

function monitored({ spec, monitored: known }: Observed): ConditionState {
  const type = 'Monitored';
  if (spec.monitoring.serviceMonitor === 'Disabled') {
    const message = 'spec.monitoring.serviceMonitor is Disabled';
    return { type, status: 'False', reason: 'Disabled', message };
  }
  if (known === undefined) {
    const message = 'the ServiceMonitor has not been looked at yet';
    return { type, status: 'Unknown', reason: 'Unknown', message };
  }
  const { reason, message } = known;
  return { type, status: reason === 'Made' ? 'True' : 'False', reason, message };
}

function paused({ spec }: Observed): ConditionState {
  return spec.paused
    ? { type: 'Paused', status: 'True', reason: 'Paused', message: 'spec.paused is set' }
    : { type: 'Paused', status: 'False', reason: 'Active', message: 'the operator works' };
}

function hibernated({ spec, pods }: Observed): ConditionState {
  const type = 'Hibernated';
  if (!spec.hibernate) return { type, status: 'False', reason: 'Awake', message: 'it runs' };
  if (pods.length > 0) {
    const message = `${String(pods.length)} pods are being stopped`;
    return { type, status: 'False', reason: 'Hibernating', message };
  }
  return { type, status: 'True', reason: 'Hibernated', message: 'the pods are off' };
}
