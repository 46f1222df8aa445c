import { assert } from './assert.ts';
import { firstConfiguration } from './change.ts';
import { membersOf } from './configuration.ts';
import { compareLogIds, LogIndex, MonotonicMs, next, Term } from './ids.ts';
import type { Incarnation, PeerId } from './ids.ts';
import type { DisruptedLeader, TimeoutNow, VoteRequest, VoteResponse } from './message.ts';
import { envelope, replyEnvelope, type Outbox } from './outbox.ts';
import { hasQuorum } from './quorum.ts';
import { startRound } from './reads.ts';
import type { Refusal } from './refusal.ts';
import { appendAsLeader, syncProgress } from './replication.ts';
import {
  configurationOfState,
  counts,
  heartbeatIntervalMs,
  isSticky,
  mayCampaign,
  resetElectionDeadline,
} from './state.ts';
import type { Leader, PreCandidate, RaftState, Tally } from './state.ts';
import { becomeFollower, reasonOf, setRole } from './step-down.ts';

/**
 * Asks whether a campaign could be won, without touching any term (pre-vote, dissertation §9.6). A
 * node cut off from the others stays here and disturbs nobody when it comes back.
 */
export function startPreVote(
  state: RaftState,
  out: Outbox,
  options: { readonly triggered: boolean; readonly reason: Refusal },
): void {
  assert(state.role.type !== 'leader', 'a leader asks for pre-votes');
  resetElectionDeadline(state);
  if (!mayCampaign(state)) {
    setRole(state, out, { role: { type: 'follower' }, leader: undefined, reason: options.reason });
    return;
  }
  const role: PreCandidate = {
    type: 'preCandidate',
    tally: emptyTally(),
    triggered: options.triggered,
    retryAt: MonotonicMs(state.now + heartbeatIntervalMs(state)),
    disrupted: undefined,
  };
  setRole(state, out, { role, leader: undefined, reason: options.reason });
  askForPreVotes(state, out, role);
}

/** Asks again those who have not granted: they may have been down or loyal to a dead leader. */
export function askForPreVotes(state: RaftState, out: Outbox, role: PreCandidate): void {
  role.retryAt = MonotonicMs(state.now + heartbeatIntervalMs(state));
  const { id, incarnation } = state.options;
  const { granted, leaseRejected } = role.tally;
  // vote() does not free this node from its own loyalty: that leader may hold a lease by it.
  (isSticky(state) ? leaseRejected : granted).set(id, incarnation);
  for (const peer of votersToAsk(state)) {
    if (role.tally.granted.has(peer)) continue;
    out.send({
      ...envelope(state, peer),
      type: 'voteRequest',
      term: Term(state.hardState.term + 1),
      preVote: true,
      lastLog: state.log.lastId(),
      triggered: role.triggered,
      ...(role.disrupted && { disrupted: role.disrupted }),
    });
  }
  concludePreVote(state, out, role);
}

/** RequestVote and pre-vote, receiver side (figure 2; §5.4.1; dissertation §4.2.3, §9.6). */
export function handleVoteRequest(state: RaftState, out: Outbox, request: VoteRequest): void {
  if (!state.joined) return refuseVote(state, out, request, false);
  if (request.preVote) return handlePreVote(state, out, request);

  const upToDate = compareLogIds(request.lastLog, state.log.lastId()) >= 0;
  if (isSticky(state) && !namesMyLeader(state, request.disrupted)) {
    // Not even the term is adopted, or a removed server could depose a healthy leader.
    return refuseVote(state, out, request, upToDate);
  }
  if (request.term > state.hardState.term) {
    const reason = reasonOf('EHIGHERTERMREQUEST', `${request.from} campaigns in a higher term`);
    becomeFollower(state, out, { term: request.term, leader: undefined, reason });
  }
  const free = state.hardState.votedFor === undefined;
  const repeated =
    state.hardState.votedFor === request.from &&
    state.hardState.votedIncarnation === request.fromIncarnation;
  if (request.term < state.hardState.term || !upToDate || !(free || repeated)) {
    return refuseVote(state, out, request, false);
  }
  grantVote(state, out, request);
}

/** A vote or pre-vote came back. */
export function handleVoteResponse(state: RaftState, out: Outbox, response: VoteResponse): void {
  if (response.term > state.hardState.term && !response.granted) {
    const reason = reasonOf('EHIGHERTERMRESPONSE', `${response.from} is in a higher term`);
    becomeFollower(state, out, { term: response.term, leader: undefined, reason });
    return;
  }
  const { role } = state;
  if (!counts(state, response.from, response.fromIncarnation)) return;
  if (role.type === 'preCandidate' && response.preVote) {
    if (response.requestTerm !== state.hardState.term + 1) return;
    record(role.tally, response);
    role.disrupted ??= response.disrupted;
    concludePreVote(state, out, role);
  } else if (role.type === 'candidate' && !response.preVote) {
    if (response.requestTerm !== state.hardState.term) return;
    record(role.tally, response);
    concludeVote(state, out);
  }
}

/** The leader asks this node to take over (dissertation §3.10; braft timeout_now). */
export function handleTimeoutNow(state: RaftState, out: Outbox, request: TimeoutNow): void {
  const current = request.term === state.hardState.term && state.leader === request.from;
  const seen = state.transferSeen.term === request.term ? state.transferSeen.id : 0;
  if (!current || request.transferId < seen || !mayCampaign(state)) return;
  becomeCandidate(state, out, { leader: request.from, term: request.term });
}

/** This node's own vote is on disk now, which is when it counts (figure 2). */
export function handleOwnVoteDurable(state: RaftState, out: Outbox): void {
  const { role, hardState, durableHardState } = state;
  if (role.type !== 'candidate' || role.tally.granted.has(state.options.id)) return;
  if (durableHardState.term !== hardState.term) return;
  assert(hardState.votedFor === state.options.id, 'a candidate that did not vote for itself');
  role.tally.granted.set(state.options.id, state.options.incarnation);
  concludeVote(state, out);
}

function becomeCandidate(state: RaftState, out: Outbox, disrupted?: DisruptedLeader): void {
  const { id, incarnation } = state.options;
  const term = Term(state.hardState.term + 1);
  state.hardState = { term, votedFor: id, votedIncarnation: incarnation };
  out.hardStateChanged();
  // Votes are answered at once or not at all: a split vote need not cost a whole timeout (§5.2).
  const share = CANDIDATE_PATIENCE_MIN + state.prng.next() * CANDIDATE_PATIENCE_SPREAD;
  state.electionDeadline = MonotonicMs(state.now + share * state.timing.electionTimeoutMs);
  const reason = reasonOf('ERAFTTIMEDOUT', `campaigning in term ${String(term)}`);
  const role = { type: 'candidate' as const, tally: emptyTally() };
  setRole(state, out, { role, leader: undefined, reason });
  for (const peer of votersToAsk(state)) {
    // Durably: a candidate that forgot its own term could lead the same term twice.
    out.sendDurably({
      ...envelope(state, peer),
      type: 'voteRequest',
      preVote: false,
      lastLog: state.log.lastId(),
      triggered: false,
      ...(disrupted && { disrupted }),
    });
  }
}

function becomeLeader(state: RaftState, out: Outbox, votes: Tally['granted']): void {
  const { id } = state.options;
  const startIndex = next(state.log.lastIndex());
  const configuration = firstConfiguration(state, votes);
  const leader: Leader = {
    type: 'leader',
    startIndex,
    progress: new Map(),
    selfMatch: LogIndex(Math.min(state.durableIndex, state.log.lastIndex())),
    nextHeartbeatAt: state.now,
    round: 0,
    rounds: [],
    waitingReads: [],
    leaseStart: NEVER,
    leaseEpoch: ++state.leaseEpochs,
    leaseBlockedBy: new Map(),
    transferId: 0,
    transfer: undefined,
    change: undefined,
    majorityReadonly: false,
  };
  const reason = reasonOf('ENEWLEADER', `elected in term ${String(state.hardState.term)}`);
  setRole(state, out, { role: leader, leader: id, reason });
  syncProgress(state, leader);
  for (const [peer, incarnation] of votes) {
    const progress = leader.progress.get(peer);
    if (progress !== undefined) progress.incarnation = incarnation;
  }
  // An entry of the own term commits everything before it (§5.4.2, §8); like braft it is the
  // configuration, so that the group's members are never older than its leader.
  const entryId = { term: state.hardState.term, index: startIndex };
  appendAsLeader(state, out, leader, [{ kind: 'configuration', id: entryId, configuration }]);
  startRound(state, out, leader);
}

function handlePreVote(state: RaftState, out: Outbox, request: VoteRequest): void {
  const upToDate = compareLogIds(request.lastLog, state.log.lastId()) >= 0;
  if (request.term <= state.hardState.term || !upToDate) {
    return refuseVote(state, out, request, false);
  }
  const { id } = state.options;
  const { term } = state.hardState;
  if (request.triggered && state.role.type === 'leader') {
    const reason = reasonOf('ETRANSFERLEADERSHIP', `${request.from} was asked to take over`);
    becomeFollower(state, out, { term, leader: undefined, reason });
    answerVote(state, out, request, { granted: true, disrupted: { leader: id, term } });
  } else if (isSticky(state) && !namesMyLeader(state, request.disrupted)) {
    refuseVote(state, out, request, true);
  } else {
    answerVote(state, out, request, { granted: true });
  }
}

/** Whether the leader this node follows, or is, is the one that has given up. */
function namesMyLeader(state: RaftState, disrupted: DisruptedLeader | undefined): boolean {
  return (
    disrupted !== undefined &&
    disrupted.term === state.hardState.term &&
    disrupted.leader === state.leader
  );
}

function grantVote(state: RaftState, out: Outbox, request: VoteRequest): void {
  const { from, fromIncarnation } = request;
  if (state.hardState.votedFor === undefined) {
    const { term } = state.hardState;
    state.hardState = { term, votedFor: from, votedIncarnation: fromIncarnation };
    out.hardStateChanged();
    const reason = reasonOf('EVOTEFORCANDIDATE', `voted for ${from}`);
    becomeFollower(state, out, { term, leader: undefined, reason });
  }
  resetElectionDeadline(state);
  out.sendDurably({ ...replyEnvelope(state, request), ...voteAnswer(request, true) });
}

function refuseVote(
  state: RaftState,
  out: Outbox,
  request: VoteRequest,
  rejectedByLease: boolean,
): void {
  out.send({
    ...replyEnvelope(state, request),
    ...voteAnswer(request, false),
    rejectedByLease,
  });
}

function answerVote(
  state: RaftState,
  out: Outbox,
  request: VoteRequest,
  answer: { readonly granted: boolean; readonly disrupted?: DisruptedLeader },
): void {
  const disrupted = answer.disrupted === undefined ? {} : { disrupted: answer.disrupted };
  out.send({
    ...replyEnvelope(state, request),
    ...voteAnswer(request, answer.granted),
    ...disrupted,
  });
}

function voteAnswer(
  request: VoteRequest,
  granted: boolean,
): Pick<VoteResponse, 'type' | 'preVote' | 'requestTerm' | 'granted' | 'rejectedByLease'> {
  const { preVote, term: requestTerm } = request;
  return { type: 'voteResponse', preVote, requestTerm, granted, rejectedByLease: false };
}

function record(tally: Tally, response: VoteResponse): void {
  const { from, fromIncarnation } = response;
  // Two disks that claim the same unbound member: the first one heard keeps its say.
  const heard = tally.granted.get(from) ?? tally.leaseRejected.get(from);
  if (heard !== undefined && heard !== fromIncarnation) return;
  if (response.granted) tally.granted.set(from, fromIncarnation);
  else if (response.rejectedByLease) tally.leaseRejected.set(from, fromIncarnation);
}

function concludePreVote(state: RaftState, out: Outbox, role: PreCandidate): void {
  const { granted, leaseRejected } = role.tally;
  // Loyalty to a leader that has shown itself to have given up is no refusal.
  const gaveUp = role.disrupted !== undefined;
  const inFavour = (peer: PeerId): boolean =>
    granted.has(peer) || (gaveUp && leaseRejected.has(peer));
  if (hasQuorum(configurationOfState(state), inFavour)) {
    becomeCandidate(state, out, role.disrupted);
  }
}

function concludeVote(state: RaftState, out: Outbox): void {
  const { role } = state;
  if (role.type !== 'candidate') return;
  const { granted } = role.tally;
  const elected =
    granted.has(state.options.id) &&
    hasQuorum(configurationOfState(state), (peer) => granted.has(peer));
  if (elected) becomeLeader(state, out, granted);
}

function votersToAsk(state: RaftState): PeerId[] {
  const configuration = configurationOfState(state);
  const { learners } = configuration;
  return [...membersOf(configuration)].filter(
    (peer) => peer !== state.options.id && !learners.has(peer),
  );
}

function emptyTally(): Tally {
  return { granted: new Map<PeerId, Incarnation>(), leaseRejected: new Map() };
}

/** How long a candidate waits for votes, as a share of the election timeout. */
const CANDIDATE_PATIENCE_MIN = 0.3;
const CANDIDATE_PATIENCE_SPREAD = 0.5;

const NEVER = MonotonicMs(Number.NEGATIVE_INFINITY);
