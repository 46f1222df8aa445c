import type { ClaimView, Fact, Observed, PodView, VoterView } from './observed.ts';
import {
  hasLostDisk,
  learnerOf,
  needsVotersFirst,
  podOf,
  quorumOf,
  voterOf,
  votersNeededFirst,
} from './plan/membership.ts';

/** Whoever has not looked for this long cannot say that a fact has held meanwhile. */
const GAP_MAX_MS = 15_000;

/** Facts that a plan acts on only after they have held for a while. */
export const diskLostFact = (ordinal: number, incarnation: string): string =>
  `diskLost:${String(ordinal)}:${incarnation}`;
export const absentFact = (ordinal: number): string => `absent:${String(ordinal)}`;
export const claimLostFact = ({ ordinal, uid }: ClaimView): string =>
  `claimLost:${String(ordinal)}:${uid}`;
export const participatesFact = ({ ordinal, uid }: PodView): string =>
  `participates:${String(ordinal)}:${uid}`;
export const canaryFact = (revision: string): string => `canary:${revision}`;

/** The facts that are seen in this pass. */
export function factsSeen(observed: Omit<Observed, 'facts'>): ReadonlySet<string> {
  const looked = { ...observed, facts: new Map<string, Fact>() };
  const lost = observed.claims.filter(({ lost }) => lost).map(claimLostFact);
  return new Set([...groupFacts(looked), ...voterFacts(looked), ...rollFacts(looked), ...lost]);
}

/**
 * How long each fact has held without a break. The memory is lost when the operator restarts: the
 * waits then begin anew. So they do after a gap between two looks.
 */
export class FactMemory {
  readonly #seen = new Map<string, { readonly sinceMs: number; passes: number }>();
  #lookedAtMs = -Infinity;

  /** Takes in one pass; `nowMs` is monotonic. */
  note(seen: ReadonlySet<string>, nowMs: number): ReadonlyMap<string, Fact> {
    if (nowMs - this.#lookedAtMs > GAP_MAX_MS) this.#seen.clear();
    this.#lookedAtMs = nowMs;
    for (const fact of this.#seen.keys()) if (!seen.has(fact)) this.#seen.delete(fact);
    for (const fact of seen) {
      const known = this.#seen.get(fact);
      if (known === undefined) this.#seen.set(fact, { sinceMs: nowMs, passes: 1 });
      else known.passes++;
    }
    return new Map(
      [...this.#seen].map(([fact, { sinceMs, passes }]) => [
        fact,
        { heldMs: nowMs - sinceMs, passes },
      ]),
    );
  }
}

function groupFacts(observed: Observed): readonly string[] {
  const { group, fence, spec } = observed;
  if (group === undefined) {
    if (spec.hibernate) return [];
    return [
      'noLeader',
      ...(areAllThere(observed) ? ['noLeaderOfAll'] : []),
      ...fewVoters(observed),
    ];
  }
  return [
    ...(fence !== undefined && group.fence > fence ? ['fenceLost'] : []),
    ...fewVoters(observed),
  ];
}

/** A moment without a leader does not make more of them. */
function fewVoters({ group, status, spec }: Observed): readonly string[] {
  const voters = group?.voters.length ?? status.voters ?? Infinity;
  return voters < votersNeededFirst(spec) ? ['fewVoters'] : [];
}

/** All pods that have a node answer, and they are a quorum: a leader would have been seen. */
function areAllThere({ pods, statefulSet }: Observed): boolean {
  const answer = pods.every(
    ({ report, node, deleting }) => !deleting && (report !== undefined || node === undefined),
  );
  const reports = pods.flatMap(({ report }) => report ?? []);
  const voters = Math.max(0, ...reports.map((report) => report.voters.length));
  const isQuorum = reports.length >= quorumOf(voters);
  return answer && isQuorum && pods.length >= (statefulSet?.replicas ?? Infinity);
}

function voterFacts(observed: Observed): readonly string[] {
  return (observed.group?.voters ?? []).flatMap((voter) => {
    const pod = podOf(observed, voter.ordinal);
    if (pod === undefined || isNowhere(pod)) return absence(observed, voter);
    const incarnation = pod.report?.incarnation ?? '';
    return [
      ...(voter.participating ? [participatesFact(pod)] : []),
      ...(hasLostDisk(voter, pod) ? [diskLostFact(voter.ordinal, incarnation)] : []),
    ];
  });
}

/** Nothing of it can be running anywhere: no node has the pod. */
function isNowhere({ node, report }: PodView): boolean {
  return node === undefined && report === undefined;
}

/** The disk of a voter without a pod that runs is gone, or was on a node that is. */
function absence({ claims }: Observed, { ordinal, participating }: VoterView): readonly string[] {
  const claim = claims.find((one) => one.ordinal === ordinal);
  return !participating && claim?.lost === true ? [absentFact(ordinal)] : [];
}

/** Pods of the newest revision run, or should, and not one of them takes part. */
function rollFacts(observed: Observed): readonly string[] {
  const { statefulSet, spec, pods, group } = observed;
  const revision = statefulSet?.updateRevision;
  if (revision === undefined || spec.hibernate) return [];
  // Others than voters say nothing about the template, unless voters wait for them.
  const areAllHeard = group === undefined || needsVotersFirst(observed);
  const updated = pods.filter(
    (pod) =>
      pod.revision === revision && (areAllHeard || voterOf(observed, pod.ordinal) !== undefined),
  );
  // Newcomers join together: one that runs waits for one that does not, and cannot be blamed.
  const someWait = updated.some(({ report }) => report === undefined);
  const works = (pod: PodView): boolean => {
    if (group === undefined) return pod.report !== undefined;
    const voter = voterOf(observed, pod.ordinal);
    const waits = someWait && pod.report?.joined === false;
    return voter?.participating ?? learnerOf(observed, pod)?.answers ?? waits;
  };
  return updated.length > 0 && !updated.some(works) ? [canaryFact(revision)] : [];
}
