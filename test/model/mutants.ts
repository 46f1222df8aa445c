import { quantityBytes } from '../../operator/api/quantity.ts';
import type { Action, Plan } from '../../operator/cluster/action.ts';
import type { Observed } from '../../operator/cluster/observed.ts';
import { plan } from '../../operator/cluster/plan/plan.ts';

/** A plan with a bug planted in it, to prove that the model finds it. */
export type Mutant = (observed: Observed) => Plan;

const REQUEUE_MS = 500;

/** Does `instead` whenever it has something to do, and else what the real plan says. */
function unless(instead: (observed: Observed) => Action | undefined): Mutant {
  return (observed) => {
    const action = observed.deleting || observed.spec.hibernate ? undefined : instead(observed);
    return action === undefined ? plan(observed) : { action, requeueAfterMs: REQUEUE_MS };
  };
}

function change(
  { group, fence }: Observed,
  keep: (voter: NonNullable<Observed['group']>['voters'][number]) => boolean,
): Action | undefined {
  if (group?.stable !== true || fence !== group.fence) return undefined;
  const voters = group.voters.filter(keep).map(({ ordinal }) => ordinal);
  if (voters.length === group.voters.length || voters.length === 0) return undefined;
  const { configurationIndex } = group;
  return { type: 'changePeers', voters, configurationIndex, fence };
}

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'removes members without asking who is left': unless((observed) =>
    change(observed, ({ ordinal }) => ordinal < observed.spec.replicas),
  ),
  'replaces a member that is only silent': unless((observed) =>
    change(observed, ({ participating }) => participating),
  ),
  'puts the disk of a silent voter aside': unless(({ group, pods }) => {
    const silent = group?.voters.find(({ participating }) => !participating);
    const report = pods.find(({ ordinal }) => ordinal === silent?.ordinal)?.report;
    if (silent === undefined || report?.joined !== true) return undefined;
    return { type: 'joinFresh', ordinal: silent.ordinal, incarnation: report.incarnation };
  }),
  'ends pods before their peers have left': unless(({ statefulSet, spec, group }) => {
    if (group === undefined || (statefulSet?.replicas ?? 0) <= spec.replicas) return undefined;
    return { type: 'setReplicas', replicas: spec.replicas };
  }),
  'bootstraps whenever the first disk is empty': unless(({ pods, status }) => {
    const report = pods.find(({ ordinal }) => ordinal === 0)?.report;
    if (report?.lastIndex !== 0 || report.joined || status.clusterID === undefined)
      return undefined;
    return { type: 'bootstrap', clusterId: status.clusterID };
  }),
  'rolls without waiting for the member before': unless(({ pods, statefulSet }) => {
    const revision = statefulSet?.updateRevision;
    const outdated = pods.find((pod) => !pod.deleting && pod.revision !== revision);
    if (revision === undefined || outdated === undefined) return undefined;
    return { type: 'deletePod', ordinal: outdated.ordinal, uid: outdated.uid };
  }),
  'rolls a group that is short of its third voter': unless((observed) => {
    const { group, spec, statefulSet } = observed;
    const isShort = group !== undefined && group.voters.length < Math.min(spec.replicas, 3);
    return isShort && statefulSet !== undefined ? nextOutdated(observed) : undefined;
  }),
  'creates a lost StatefulSet with one pod': (observed) => {
    const next = plan(observed);
    if (next.action?.type !== 'createStatefulSet') return next;
    return { ...next, action: { ...next.action, replicas: 1 } };
  },
  'deletes the volume of a voter whose node is gone': unless(({ claims, group }) => {
    const lost = claims.find(({ lost, deleting }) => lost && !deleting);
    if (lost === undefined || group === undefined) return undefined;
    return { type: 'deleteClaim', ordinal: lost.ordinal, uid: lost.uid };
  }),
  'never replaces anybody': (observed) => {
    const next = plan(observed);
    return next.operation?.type === 'Replace' ? { requeueAfterMs: REQUEUE_MS } : next;
  },
  'makes the StatefulSet anew before the volumes have grown': unless(({ statefulSet, spec }) => {
    const differs = statefulSet !== undefined && statefulSet.claimSize !== spec.storage.size;
    return differs ? { type: 'orphanPods', uid: statefulSet.uid } : undefined;
  }),
  'grows all volumes at once': unless(({ claims, spec, group }) => {
    const { size } = spec.storage;
    const small = claims.find(({ requestedBytes = 0 }) => requestedBytes < quantityBytes(size));
    if (group === undefined || small === undefined) return undefined;
    return { type: 'growClaim', ordinal: small.ordinal, uid: small.uid, size };
  }),
  'never grows a volume': (observed) => {
    const next = plan(observed);
    return next.operation?.type === 'Grow' ? { requeueAfterMs: REQUEUE_MS } : next;
  },
  'takes two voters out at once for a roll': (observed) => {
    const next = plan(observed);
    return next.operation?.type === 'Roll' && next.action === undefined
      ? unless(nextOutdated)(observed)
      : next;
  },
};

function nextOutdated({ pods, statefulSet }: Observed): Action | undefined {
  const revision = statefulSet?.updateRevision;
  const outdated = pods.find((pod) => !pod.deleting && pod.revision !== revision);
  if (revision === undefined || outdated === undefined) return undefined;
  return { type: 'evictPod', ordinal: outdated.ordinal, uid: outdated.uid };
}
