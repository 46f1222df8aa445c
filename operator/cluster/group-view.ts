import type { ReplicaStatus } from '../../client/index.ts';
import { ordinalOfPeer, type ClusterName } from '../resources/names.ts';
import type { GroupView, MemberReport, VoterView } from './observed.ts';

/** A member that has not answered its leader for this long does not take part. */
const CONTACT_MAX_MS = 3_000;
/** How far behind the end of the log a member may be and still count as taking part. */
const LAG_MAX_ENTRIES = 1_000;

/** What a server says of its own disk. */
export function memberReport(cluster: ClusterName, status: ReplicaStatus): MemberReport {
  return {
    incarnation: status.incarnation,
    clusterId: status.clusterId,
    lineage: status.lineage,
    joined: status.joined,
    lastIndex: status.lastIndex,
    committedIndex: status.committedIndex,
    configurationIndex: status.configurationIndex,
    voters: [...new Set([...status.peers, ...status.outgoingPeers])].flatMap(
      (peer) => ordinalOfPeer(cluster, peer) ?? [],
    ),
    version: status.version,
  };
}

/** The group as its confirmed leader describes it. */
export function groupView(cluster: ClusterName, status: ReplicaStatus): GroupView {
  const committed = status.configurationIndex === status.committedConfigurationIndex;
  const { followers, peers } = status;
  return {
    clusterId: status.clusterId,
    lineage: status.lineage,
    term: status.term,
    leader: ordinalOfPeer(cluster, status.peerId),
    commitIndex: status.committedIndex,
    configurationIndex: status.committedConfigurationIndex,
    stable: committed && status.outgoingPeers.length === 0,
    fence: status.fence,
    voters: peers.map((peer) => voterView(cluster, status, peer)),
    learners: followers
      .filter(({ peerId }) => !peers.includes(peerId))
      .map((follower) => ({ incarnation: follower.incarnation, answers: hasAnswered(follower) })),
  };
}

/** @throws RangeError for a voter that is none of this cluster's pods. */
function voterView(cluster: ClusterName, status: ReplicaStatus, peer: string): VoterView {
  const ordinal = ordinalOfPeer(cluster, peer);
  if (ordinal === undefined) {
    throw new RangeError(`the group has a voter ${peer}, which is no pod of this cluster`);
  }
  if (peer === status.peerId) {
    const { incarnation, lastIndex } = status;
    return { ordinal, incarnation, matchIndex: lastIndex, participating: true };
  }
  const follower = status.followers.find(({ peerId }) => peerId === peer);
  if (follower === undefined)
    return { ordinal, incarnation: '', matchIndex: 0, participating: false };
  const { incarnation, matchIndex } = follower;
  const participating = takesPart(follower, status.committedIndex);
  return { ordinal, incarnation, matchIndex, participating };
}

type Follower = ReplicaStatus['followers'][number];

function takesPart(follower: Follower, commitIndex: number): boolean {
  const { matchIndex, installingSnapshot } = follower;
  const isClose = !installingSnapshot && commitIndex - matchIndex <= LAG_MAX_ENTRIES;
  return isClose && hasAnswered(follower);
}

/** It has answered its leader just now. */
export function hasAnswered({ lastContactMs }: Pick<Follower, 'lastContactMs'>): boolean {
  return lastContactMs >= 0 && lastContactMs <= CONTACT_MAX_MS;
}
