import type { NodeStatus } from '../raft/index.ts';

/** A server that lags by more committed entries than this gets no traffic yet. */
const LAG_ENTRIES_MAX = 10_000;

/**
 * Why a node should get no traffic, or undefined when it should. A lone failing server says no; so
 * do all of them while there is no leader. Liveness is another question: it never needs others.
 */
export function notReadyReason(status: NodeStatus): string | undefined {
  switch (status.state) {
    case 'leader':
    case 'transferring':
      return undefined;
    case 'follower':
      return followerReason(status);
    case 'candidate':
      return 'no leader is known: an election is under way';
    case 'error':
      return 'the node stopped after a failure';
    case 'uninitialized':
    case 'shutting':
    case 'shutdown':
      return `the node is ${status.state}`;
  }
}

function isMember({ peer, configuration: { configuration } }: NodeStatus): boolean {
  const { voters, outgoing, learners } = configuration;
  return voters.has(peer) || outgoing?.has(peer) === true || learners.has(peer);
}

function followerReason(status: NodeStatus): string | undefined {
  if (!status.identity.joined) return 'waiting to be added to the group';
  if (!isMember(status)) return 'not a member of the group, as far as it knows';
  if (status.leader === undefined) return 'no leader is known';
  const lag = status.committedIndex - status.knownAppliedIndex;
  return lag > LAG_ENTRIES_MAX ? `catching up: ${String(lag)} entries to apply` : undefined;
}
