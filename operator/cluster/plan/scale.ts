import { durationMs } from '../../api/duration.ts';
import type { Action, Plan } from '../action.ts';
import { claimLostFact } from '../evidence.ts';
import type { GroupView, Observed, PodView } from '../observed.ts';
import {
  afterLast,
  bestOf,
  decidesWithout,
  learnerOf,
  participating,
  podOf,
  quorumOf,
  SPARE_VOTERS_MIN,
} from './membership.ts';
import { gate, LOOK_SOON_MS, waiting } from './waiting.ts';

/** One step towards the wanted number of voters, or one member back that was removed. */
export function planScale(observed: Observed): Plan | undefined {
  const { group, spec, fence } = observed;
  if (group === undefined || fence === undefined) return undefined;
  if (group.voters.length < spec.replicas) return planGrowth(observed, group, fence);
  if (group.voters.length > spec.replicas) return planShrink(observed, group, fence);
  return planGap(observed, group, fence) ?? planSurplusPods(observed, group);
}

/** Two at once keep the number of voters odd: no step makes the group weaker than it was. */
function stepTowards(voters: number, target: number): number {
  const odd = voters % 2 === 1;
  if (target > voters) return odd && target >= voters + 2 ? voters + 2 : voters + 1;
  return odd && target <= voters - 2 ? voters - 2 : voters - 1;
}

/** The pod first, its empty disk then joins as a learner and votes once it has caught up. */
function planGrowth(observed: Observed, group: GroupView, fence: number): Plan {
  const { spec, statefulSet, name } = observed;
  const present = group.voters.map(({ ordinal }) => ordinal);
  const next = stepTowards(present.length, spec.replicas);
  const newcomers = freeOrdinals(present, next - present.length);
  const healthy = participating(group).length;
  // The newcomers count as down: the others must be able to decide for the larger group. Groups of
  // one or two have nobody to spare: there newcomers are caught up first anyway.
  if (next >= SPARE_VOTERS_MIN && present.length > 1 && healthy < quorumOf(next)) {
    const text = `only ${String(healthy)} of ${String(present.length)} voters take part`;
    return gate('ScaleUp', `${text}: waiting for a quorum of ${String(next)}`);
  }
  const pods = afterLast([...present, ...newcomers]);
  const operation = { type: 'ScaleUp', message: `adding ${names(name, newcomers)}` } as const;
  if ((statefulSet?.replicas ?? 0) < pods) {
    const action = { type: 'setReplicas', replicas: pods } as const;
    return { action, operation, requeueAfterMs: LOOK_SOON_MS };
  }
  for (const ordinal of newcomers) {
    const step = planNewcomer(observed, ordinal);
    if (step !== undefined) return step;
  }
  const { configurationIndex } = group;
  const voters = [...present, ...newcomers].sort((a, b) => a - b);
  const action: Action = { type: 'changePeers', voters, configurationIndex, fence };
  return { action, operation, requeueAfterMs: LOOK_SOON_MS };
}

/** What must happen before a pod outside of the group can be added; undefined when it can be. */
function planNewcomer(observed: Observed, ordinal: number): Plan | undefined {
  const pod = podOf(observed, ordinal);
  const name = `${observed.name}-${String(ordinal)}`;
  const report = pod?.report;
  if (report === undefined || pod === undefined || pod.deleting) {
    return planMissingNewcomer(observed, ordinal, pod);
  }
  // A disk that was a member before must not come back as what it was.
  if (!report.joined || learnerOf(observed, pod) !== undefined) {
    return planKeptClaim(observed, ordinal);
  }
  return {
    action: { type: 'joinFresh', ordinal, incarnation: report.incarnation },
    operation: { type: 'ScaleUp', message: `${name} puts its old data aside` },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** Its volume counts again before it votes: without a leader, volumes tell which pods are needed. */
function planKeptClaim({ claims, name }: Observed, ordinal: number): Plan | undefined {
  const claim = claims.find((one) => one.ordinal === ordinal);
  if (claim?.quarantinedAt === undefined || claim.deleting) return undefined;
  return {
    action: { type: 'releaseClaim', ordinal, uid: claim.uid },
    operation: { type: 'ScaleUp', message: `adding ${names(name, [ordinal])}` },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** The volume of a pod that can never be scheduled again makes room for a new one. */
function planMissingNewcomer(observed: Observed, ordinal: number, pod: PodView | undefined): Plan {
  const name = `${observed.name}-${String(ordinal)}`;
  const claim = observed.claims.find((one) => one.ordinal === ordinal);
  if (claim?.lost !== true || claim.deleting || pod?.node !== undefined) {
    return waiting('ScaleUp', name, pod);
  }
  const { heldMs = 0 } = observed.facts.get(claimLostFact(claim)) ?? {};
  if (heldMs < durationMs(observed.spec.memberLossGracePeriod)) {
    return gate('ScaleUp', `the volume of ${name}, or its node, is gone: waiting to be sure`);
  }
  return {
    action: { type: 'deleteClaim', ordinal, uid: claim.uid },
    operation: {
      type: 'Replace',
      message: `${name} gets a new volume: the one it had, or its node, is gone`,
    },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** Leadership moves off, the peers leave the group, and only then do their pods end. */
function planShrink(observed: Observed, group: GroupView, fence: number): Plan {
  const { spec, name } = observed;
  const present = group.voters.map(({ ordinal }) => ordinal).sort((a, b) => a - b);
  const next = stepTowards(present.length, spec.replicas);
  const victims = present.slice(next);
  const staying = present.slice(0, next);
  if (!decidesWithout(group, victims, staying.length)) {
    const text = `${names(name, staying)} would have no quorum without ${names(name, victims)}`;
    return gate('ScaleDown', `${text}: waiting for them to take part`);
  }
  const operation = { type: 'ScaleDown', message: `removing ${names(name, victims)}` } as const;
  if (group.leader !== undefined && victims.includes(group.leader)) {
    const heirs = participating(group).filter(({ ordinal }) => staying.includes(ordinal));
    const to = bestOf(heirs);
    if (to === undefined) return gate('ScaleDown', 'waiting for a member that can lead');
    return {
      action: { type: 'transferLeader', to },
      operation: { ...operation, message: `leadership moves to ${name}-${String(to)}` },
      requeueAfterMs: LOOK_SOON_MS,
    };
  }
  const { configurationIndex } = group;
  const action: Action = { type: 'changePeers', voters: staying, configurationIndex, fence };
  return { action, operation, requeueAfterMs: LOOK_SOON_MS };
}

/** The last member gives its place to an ordinal in between that has none: pods end from the top. */
function planGap(observed: Observed, group: GroupView, fence: number): Plan | undefined {
  const { name } = observed;
  const present = group.voters.map(({ ordinal }) => ordinal).sort((a, b) => a - b);
  const last = Math.max(...present);
  if (last < present.length) return undefined;
  const newcomers = freeOrdinals(present, 1);
  const staying = present.filter((ordinal) => ordinal !== last);
  const healthy = participating(group).filter(({ ordinal }) => ordinal !== last);
  const needed = present.length < SPARE_VOTERS_MIN ? staying.length : quorumOf(present.length);
  if (healthy.length < needed) {
    return gate(
      'ScaleUp',
      `waiting for ${names(name, staying)} before ${names(name, [last])} leaves`,
    );
  }
  for (const ordinal of newcomers) {
    const step = planNewcomer(observed, ordinal);
    if (step !== undefined) return step;
  }
  const message = `${names(name, newcomers)} takes the place of ${names(name, [last])}`;
  const to = group.leader === last ? bestOf(healthy) : undefined;
  const voters = [...staying, ...newcomers].sort((a, b) => a - b);
  const { configurationIndex } = group;
  const action: Action =
    to === undefined
      ? { type: 'changePeers', voters, configurationIndex, fence }
      : { type: 'transferLeader', to };
  return { action, operation: { type: 'ScaleUp', message }, requeueAfterMs: LOOK_SOON_MS };
}

/** Pods beyond the members end: their peers have left, or never came in. */
function planSurplusPods({ statefulSet, name }: Observed, group: GroupView): Plan | undefined {
  const needed = afterLast(group.voters.map(({ ordinal }) => ordinal));
  if (statefulSet === undefined || statefulSet.replicas <= needed) return undefined;
  return {
    action: { type: 'setReplicas', replicas: needed },
    operation: { type: 'ScaleDown', message: `stopping pods from ${name}-${String(needed)} on` },
    requeueAfterMs: LOOK_SOON_MS,
  };
}

/** The lowest ordinals that no voter has. */
function freeOrdinals(present: readonly number[], count: number): readonly number[] {
  const free: number[] = [];
  for (let ordinal = 0; free.length < count; ordinal++) {
    if (!present.includes(ordinal)) free.push(ordinal);
  }
  return free;
}

function names(name: string, ordinals: readonly number[]): string {
  return ordinals.map((ordinal) => `${name}-${String(ordinal)}`).join(', ');
}
