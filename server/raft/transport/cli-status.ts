import type { FollowerStatus, GetStatusResponse } from '../../../proto/gen/raft/v1/cli.ts';
import type { PeerId } from '../core/ids.ts';
import type { NodeStatus, PeerStatus } from '../node/node-status.ts';

/** A node's status as the admin service tells it. */
export function statusToWire(status: NodeStatus, version: string): GetStatusResponse {
  const { configuration, identity } = status;
  const { voters, outgoing, learners } = configuration.configuration;
  return {
    peerId: status.peer,
    state: status.state.toUpperCase(),
    leaderId: status.leader ?? '',
    term: status.term,
    readonly: status.readonly,
    committedIndex: status.committedIndex,
    knownAppliedIndex: status.knownAppliedIndex,
    firstIndex: status.firstIndex,
    lastIndex: status.lastIndex,
    diskIndex: status.diskIndex,
    snapshotIndex: status.snapshotIndex,
    incarnation: identity.incarnation,
    lineage: identity.lineage ?? '',
    clusterId: identity.clusterId,
    joined: identity.joined,
    peers: [...voters],
    outgoingPeers: [...(outgoing ?? [])],
    learners: [...learners],
    configurationIndex: configuration.index,
    committedConfigurationIndex: status.committedConfigurationIndex,
    fence: configuration.fence,
    formatVersion: configuration.formatVersion,
    version,
    followers: [...status.stableFollowers, ...status.unstableFollowers].map(([peer, follower]) =>
      followerToWire(peer, follower, voters.has(peer)),
    ),
  };
}

function followerToWire(peer: PeerId, follower: PeerStatus, voter: boolean): FollowerStatus {
  const { lastContactMs } = follower;
  return {
    peerId: peer,
    incarnation: follower.incarnation ?? '',
    voter,
    matchIndex: follower.matchIndex,
    nextIndex: follower.nextIndex,
    lastContactMs: lastContactMs === undefined ? -1 : Math.round(lastContactMs),
    installingSnapshot: follower.installingSnapshot,
    readonly: follower.readonlyIndex > 0,
  };
}
