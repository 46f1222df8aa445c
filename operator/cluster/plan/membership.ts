import type {
  ClaimView,
  GroupView,
  LearnerView,
  Observed,
  PodView,
  VoterView,
} from '../observed.ts';

/** From so many voters on, one may be missing without an outage. */
export const SPARE_VOTERS_MIN = 3;

/** How many of `voters` must agree. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

export function participating(group: GroupView): readonly VoterView[] {
  return group.voters.filter((voter) => voter.participating);
}

/** Voters that may fail now without the group losing its quorum. */
export function faultTolerance(group: GroupView): number {
  return participating(group).length - quorumOf(group.voters.length);
}

/** Whether those that take part, without `ordinals`, can still decide for a group of `voters`. */
export function decidesWithout(
  group: GroupView,
  ordinals: readonly number[],
  voters: number,
): boolean {
  const others = participating(group).filter(({ ordinal }) => !ordinals.includes(ordinal));
  return others.length >= quorumOf(voters);
}

/** The one with the longest log. */
export function bestOf(
  voters: readonly { readonly ordinal: number; readonly matchIndex: number }[],
): number | undefined {
  const [first, ...others] = voters;
  if (first === undefined) return undefined;
  return others.reduce((best, one) => (one.matchIndex > best.matchIndex ? one : best), first)
    .ordinal;
}

export function podOf({ pods }: Observed, ordinal: number): PodView | undefined {
  return pods.find((pod) => pod.ordinal === ordinal);
}

export function voterOf({ group }: Observed, ordinal: number): VoterView | undefined {
  return group?.voters.find((voter) => voter.ordinal === ordinal);
}

/** A volume that holds the data of another cluster: not ours to mark, still less to delete. */
export function isForeignClaim({ clusterId }: ClaimView, own: string | undefined): boolean {
  return clusterId !== undefined && clusterId !== own;
}

/** The learner whose disk the server of a pod has. */
export function learnerOf({ group }: Observed, { report }: PodView): LearnerView | undefined {
  return group?.learners.find(({ incarnation }) => incarnation === report?.incarnation);
}

/** No voter can be spared, and more of them are asked for: the others come first. */
export function needsVotersFirst({ group, spec }: Pick<Observed, 'group' | 'spec'>): boolean {
  return group !== undefined && group.voters.length < votersNeededFirst(spec);
}

export function votersNeededFirst({ replicas }: Observed['spec']): number {
  return Math.min(SPARE_VOTERS_MIN, replicas);
}

/** A pod's server answers from a disk that the group does not know as its voter's. */
export function hasLostDisk(voter: VoterView, pod: PodView | undefined): boolean {
  const incarnation = pod?.report?.incarnation;
  return incarnation !== undefined && voter.incarnation !== '' && incarnation !== voter.incarnation;
}

/**
 * How many pods the members need: one more than the highest ordinal among them. The leader knows;
 * without one the reports do, of which none may be the newest, then what was noted, then the
 * volumes. Rather one too many: those that are not needed end when a leader says so.
 */
export function podsNeeded(observed: Observed): number {
  const { group, pods, status } = observed;
  if (group !== undefined) return afterLast(group.voters.map(({ ordinal }) => ordinal));
  const reported = pods.flatMap(({ report }) => report?.voters ?? []);
  if (reported.length > 0) return afterLast(reported);
  const noted = (status.members ?? []).filter(({ votes }) => votes);
  return Math.max(noted.length, podsOfClaims(observed));
}

/** How many pods make use of all volumes that are not set aside; at least one. */
export function podsOfClaims({ claims }: Observed): number {
  const kept = claims.filter(({ quarantinedAt }) => quarantinedAt === undefined);
  return afterLast(kept.map(({ ordinal }) => ordinal));
}

/** How many ordinals there are up to the last of these; at least one. */
export function afterLast(ordinals: readonly number[]): number {
  return Math.max(0, ...ordinals) + 1;
}
