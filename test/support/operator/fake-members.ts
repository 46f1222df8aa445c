import type { ReplicaStatus } from '../../../client/index.ts';
import { GetStatusResponse } from '../../../proto/gen/raft/v1/cli.ts';
import type { ConnectReplica, Replica } from '../../../operator/cluster/replicas.ts';
import { PORTS, peerId, type ClusterName } from '../../../operator/resources/names.ts';

/** What a server on an empty disk says. */
const EMPTY = GetStatusResponse.decode(new Uint8Array());

/** The servers of one cluster as one state machine that never fails. */
type FakeGroup = {
  readonly clusterId: string;
  readonly lineage: string;
  leader: string;
  term: number;
  fence: number;
  peers: readonly string[];
  configurationIndex: number;
};

type Member = { readonly cluster: string; readonly peer: string; readonly incarnation: string };

/**
 * Servers of many clusters, in memory: whatever an operator asks of a leader happens at once, and
 * every member is always up to date. Counts the calls.
 */
export class FakeMembers {
  readonly #members = new Map<string, Member>();
  readonly #groups = new Map<string, FakeGroup>();
  calls = 0;

  /** A server on an empty disk answers at `ip`. */
  start(ip: string, cluster: ClusterName, ordinal: number): void {
    const key = `${cluster.namespace}/${cluster.name}`;
    const incarnation = `disk-of-${cluster.name}-${String(ordinal)}`;
    this.#members.set(ip, { cluster: key, peer: peerId(cluster, ordinal), incarnation });
  }

  /** Another member comes to lead. */
  lead(cluster: ClusterName, ordinal: number): void {
    const group = this.#groups.get(`${cluster.namespace}/${cluster.name}`);
    if (group === undefined) return;
    group.leader = peerId(cluster, ordinal);
    group.term++;
  }

  readonly connect: ConnectReplica = (address) => {
    const member = this.#members.get(address.replace(`:${String(PORTS.grpc)}`, ''));
    if (member === undefined) throw new Error(`no server was started at ${address}`);
    return this.#replica(member);
  };

  #replica(member: Member): Replica {
    const { cluster, peer } = member;
    const lead = (change: (group: FakeGroup) => void): Promise<void> => {
      this.calls++;
      const group = this.#groups.get(cluster);
      if (group?.leader !== peer) return Promise.reject(new Error(`${peer} does not lead`));
      change(group);
      return Promise.resolve();
    };
    return {
      status: () => {
        this.calls++;
        return Promise.resolve(statusOf(member, this.#groups.get(cluster)));
      },
      bootstrap: (_, clusterId) => {
        this.calls++;
        const first = { leader: peer, peers: [peer], term: 1, fence: 0, configurationIndex: 1 };
        this.#groups.set(cluster, { clusterId, lineage: `lineage-of-${cluster}`, ...first });
        return Promise.resolve();
      },
      joinFresh: () => Promise.reject(new Error('no disk here was a member before')),
      claimOperator: ({ fence }) =>
        lead((group) => {
          group.fence = fence ?? 0;
          group.configurationIndex++;
        }),
      changePeers: (peers) =>
        lead((group) => {
          group.peers = [...peers];
          group.configurationIndex++;
        }),
      transferLeader: (to) =>
        lead((group) => {
          group.leader = to;
          group.term++;
        }),
      [Symbol.dispose]: () => undefined,
    };
  }
}

function statusOf({ peer, incarnation }: Member, group: FakeGroup | undefined): ReplicaStatus {
  const own = { peerId: peer, incarnation, formatVersion: 1, version: '1.0.0', firstIndex: 1 };
  const joined = group?.peers.includes(peer) === true;
  if (!joined) return { ...EMPTY, ...own, state: 'UNINITIALIZED' };
  const { leader, term, fence, lineage, clusterId, configurationIndex: index } = group;
  const peers = [...group.peers];
  const others = peers.filter((one) => one !== peer).map((one) => followerOf(one, index));
  return {
    ...{ ...EMPTY, ...own, joined, peers, term, fence, lineage, clusterId, leaderId: leader },
    ...{ committedIndex: index, knownAppliedIndex: index, lastIndex: index, diskIndex: index },
    ...{ configurationIndex: index, committedConfigurationIndex: index },
    state: leader === peer ? 'LEADER' : 'FOLLOWER',
    followers: leader === peer ? others : [],
  };
}

function followerOf(peer: string, index: number): ReplicaStatus['followers'][number] {
  const [host = ''] = peer.split('.');
  return {
    ...{ peerId: peer, incarnation: `disk-of-${host}`, voter: true, matchIndex: index },
    ...{ nextIndex: index + 1, lastContactMs: 100, installingSnapshot: false, readonly: false },
  };
}
