import { isVoter } from './configuration.ts';
import { unreachable } from './assert.ts';
import type { PeerId } from './ids.ts';
import type {
  Configuration,
  ConfigurationOperation,
  IndexedConfiguration,
  MembershipChange,
} from './membership.ts';
import type { RaftErrorCode, Refusal } from './refusal.ts';
import type { Change, Leader, RaftState } from './state.ts';

/** What to do with a request to change the membership (braft: the checks before its stages). */
export type ChangeVerdict =
  | { readonly type: 'refuse'; readonly refusal: Refusal }
  /** Already so, or already done under this operation id. */
  | {
      readonly type: 'done';
      readonly oldVoters: readonly PeerId[];
      readonly newVoters: readonly PeerId[];
    }
  /** The same operation is running: wait for it. */
  | { readonly type: 'join'; readonly leader: Leader; readonly running: Change }
  | { readonly type: 'begin'; readonly leader: Leader };

/** Members after the change. */
export function targetOf(
  current: Configuration,
  target: MembershipChange['target'],
): Pick<Configuration, 'voters' | 'learners'> {
  const { voters, learners } = current;
  switch (target.type) {
    case 'addVoter':
    case 'promoteLearner':
      return { voters: withPeer(voters, target.peer), learners: without(learners, [target.peer]) };
    case 'removeVoter':
      return { voters: without(voters, [target.peer]), learners };
    case 'changeVoters':
      return { voters: target.voters, learners: without(learners, target.voters) };
    case 'addLearner':
      return { voters, learners: withPeer(learners, target.peer) };
    case 'removeLearner':
      return { voters, learners: without(learners, [target.peer]) };
    case 'claimOperator':
      return { voters, learners };
    default:
      return unreachable(target);
  }
}

/** Decides about a request without changing anything (braft 4.1; one change at a time, §4.1). */
export function checkChange(state: RaftState, change: MembershipChange): ChangeVerdict {
  const { role: leader } = state;
  if (leader.type !== 'leader') return notLeader(state);
  const repeated = repeatOf(state, leader, change);
  if (repeated !== undefined) return repeated;
  if (leader.transfer !== undefined) return refuse('EBUSY', 'is transferring leadership');
  const latest = state.configurations.latest();
  const settled = state.commitIndex >= leader.startIndex && latest.index <= state.commitIndex;
  if (leader.change !== undefined || !settled) {
    return refuse('EBUSY', 'is doing another configuration change');
  }
  const invalid = checkGuards(state, change) ?? checkTarget(latest.configuration, change.target);
  if (invalid !== undefined) return invalid;
  if (changesNothing(latest, change)) {
    const voters = [...latest.configuration.voters];
    return { type: 'done', oldVoters: voters, newVoters: voters };
  }
  return { type: 'begin', leader };
}

/** Neither members nor fence nor a remembered operation would differ: nothing to write. */
function changesNothing(latest: IndexedConfiguration, change: MembershipChange): boolean {
  const { voters, learners } = latest.configuration;
  const target = targetOf(latest.configuration, change.target);
  const newFence = change.fence !== undefined && change.fence > latest.fence;
  const sameMembers = sameSet(target.voters, voters) && sameSet(target.learners, learners);
  return sameMembers && !newFence && change.operationId === undefined;
}

function notLeader(state: RaftState): ChangeVerdict {
  const known = state.leader === undefined ? {} : { leader: state.leader };
  return {
    type: 'refuse',
    refusal: { code: 'EPERM', text: 'Not leader', outcome: 'notProposed', ...known },
  };
}

/** A repeat of an operation returns its first result, or waits for it while it runs. */
function repeatOf(
  state: RaftState,
  leader: Leader,
  change: MembershipChange,
): ChangeVerdict | undefined {
  const { operationId } = change;
  if (operationId === undefined) return undefined;
  const running = leader.change;
  if (running?.operation?.id === operationId) return { type: 'join', leader, running };
  const { configurations, commitIndex } = state;
  const sameId = ({ id }: ConfigurationOperation): boolean => id === operationId;
  if (!configurations.latest().operations.some(sameId)) return undefined;
  // Written by an earlier leader, perhaps: done once this leader has committed past it.
  const operation = configurations.at(commitIndex).operations.find(sameId);
  if (operation === undefined || commitIndex < leader.startIndex) {
    return refuse('EBUSY', 'the operation is not committed yet; ask again');
  }
  const { oldVoters, newVoters } = operation;
  return { type: 'done', oldVoters, newVoters };
}

function checkGuards(state: RaftState, change: MembershipChange): ChangeVerdict | undefined {
  const { fence: highest } = state.configurations.latest();
  if (change.fence !== undefined && change.fence < highest) {
    const text = `fence ${String(change.fence)} is below ${String(highest)}, which was accepted`;
    return refuse('ESTALE', text);
  }
  const committed = state.configurations.committedStable(state.commitIndex).index;
  const expected = change.expectedConfigurationIndex;
  if (expected !== undefined && expected !== committed) {
    const text = `the configuration is the one of index ${String(committed)}, not ${String(expected)}`;
    return refuse('ESTALE', text);
  }
  return undefined;
}

function checkTarget(
  current: Configuration,
  target: MembershipChange['target'],
): ChangeVerdict | undefined {
  const { voters } = targetOf(current, target);
  if (voters.size === 0) return refuse('EINVAL', 'a group needs at least one voter');
  if (target.type === 'addLearner' && isVoter(current, target.peer)) {
    return refuse('EINVAL', `${target.peer} is a voter; remove it before it can be a learner`);
  }
  if (target.type === 'promoteLearner' && !current.learners.has(target.peer)) {
    const isVoterNow = current.voters.has(target.peer);
    return isVoterNow ? undefined : refuse('EINVAL', `${target.peer} is not a learner`);
  }
  return undefined;
}

function refuse(code: RaftErrorCode, text: string): ChangeVerdict {
  return { type: 'refuse', refusal: { code, text, outcome: 'notProposed' } };
}

function withPeer(peers: ReadonlySet<PeerId>, peer: PeerId): ReadonlySet<PeerId> {
  return new Set([...peers, peer]);
}

function without(peers: ReadonlySet<PeerId>, gone: Iterable<PeerId>): ReadonlySet<PeerId> {
  const left = new Set(peers);
  for (const peer of gone) left.delete(peer);
  return left;
}

/** Whether two sets hold the same members (the order of voters means nothing, §6). */
export function sameSet(a: ReadonlySet<PeerId>, b: ReadonlySet<PeerId>): boolean {
  return a.size === b.size && [...a].every((peer) => b.has(peer));
}
