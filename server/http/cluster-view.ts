import type { NodeStatus, PeerId } from '../raft/index.ts';
import type { ClusterView, MemberActivityView, MemberStatusView, MemberView } from './view.ts';

/** What one member answered about itself, or why it did not. */
export type MemberAnswer =
  | { readonly status: MemberStatusView; readonly activity: MemberActivityView | undefined }
  | { readonly error: string };

/** What this server knows and what the other members answered. */
export type ClusterFacts = {
  readonly group: string;
  readonly groups: readonly string[];
  readonly server: ClusterView['server'];
  readonly own: NodeStatus;
  readonly answers: ReadonlyMap<PeerId, MemberAnswer>;
};

/** The peers a server asks about themselves to draw its view: all members but itself. */
export function otherMembers(status: NodeStatus): readonly PeerId[] {
  return [...membersOf(status)].filter((peer) => peer !== status.peer);
}

/** Puts together what a server shows of its group. */
export function clusterView(facts: ClusterFacts): ClusterView {
  const { own, answers } = facts;
  const peers = new Set([...membersOf(own), own.peer]);
  const members = [...peers].sort().map((peer) => memberView(facts, peer));
  const claims = [...answers.values()].flatMap((answer) =>
    'status' in answer ? [answer.status] : [],
  );
  return {
    group: facts.group,
    groups: facts.groups,
    server: facts.server,
    ...leadership(claims),
    configurationIndex: own.configuration.index,
    changing: own.changeStage !== 'none' || own.configuration.configuration.outgoing !== undefined,
    members,
  };
}

/** A node's own status in the form that is shown. */
export function statusView(status: NodeStatus): MemberStatusView {
  return {
    state: status.state,
    leader: status.leader ?? null,
    term: status.term,
    readonly: status.readonly,
    joined: status.identity.joined,
    committedIndex: status.committedIndex,
    appliedIndex: status.knownAppliedIndex,
    firstIndex: status.firstIndex,
    lastIndex: status.lastIndex,
    diskIndex: status.diskIndex,
    snapshotIndex: status.snapshotIndex,
  };
}

function membersOf(status: NodeStatus): ReadonlySet<PeerId> {
  const { voters, outgoing = [], learners } = status.configuration.configuration;
  return new Set([...voters, ...outgoing, ...learners]);
}

function memberView(facts: ClusterFacts, peer: PeerId): MemberView {
  const { own } = facts;
  const answer = facts.answers.get(peer) ?? { error: 'not asked' };
  const seen = own.stableFollowers.get(peer) ?? own.unstableFollowers.get(peer);
  return {
    peer,
    self: peer === own.peer,
    role: roleOf(own, peer),
    reachable: 'status' in answer,
    ...('status' in answer ? { status: answer.status } : { error: answer.error }),
    ...('activity' in answer && answer.activity !== undefined ? { activity: answer.activity } : {}),
    ...(seen?.lastContactMs === undefined ? {} : { lastContactMs: Math.round(seen.lastContactMs) }),
    ...(seen === undefined ? {} : { installingSnapshot: seen.installingSnapshot }),
  };
}

function roleOf(status: NodeStatus, peer: PeerId): MemberView['role'] {
  const { voters, outgoing, learners } = status.configuration.configuration;
  if (voters.has(peer)) return 'voter';
  if (outgoing?.has(peer) === true) return 'outgoing';
  return learners.has(peer) ? 'learner' : 'outsider';
}

/** The leader of the highest term that anyone names; members of lower terms are behind the times. */
function leadership(claims: readonly MemberStatusView[]): {
  readonly leader: string | null;
  readonly term: number;
} {
  const term = Math.max(0, ...claims.map((claim) => claim.term));
  const current = claims.filter((claim) => claim.term === term);
  const leader = current.find((claim) => claim.leader !== null)?.leader ?? null;
  return { leader, term };
}
