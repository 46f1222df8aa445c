import type { ReplicaStatus } from '../../client/index.ts';
import { GetStatusResponse } from '../../proto/gen/raft/v1/cli.ts';
import type { MemberState } from '../api/atomic-cluster.ts';
import { conditionOf } from '../api/condition.ts';
import { hasAnswered } from '../cluster/group-view.ts';
import type { AtomicClusterObject, PodObject } from '../cluster/kubernetes-objects.ts';
import { quorumOf } from '../cluster/plan/membership.ts';
import { addressOf, Replicas, type Replica } from '../cluster/replicas.ts';
import { ordinalOf, ordinalOfPeer, peerId, podName, type ClusterName } from '../resources/names.ts';
import type { Page, PageMember } from './page.ts';

/** The disk of a voter that the operator reports as lost. */
const LOST_DISK = 'lost';
const NEVER_HEARD = -1;

type Progress = Pick<
  NonNullable<PageMember['status']>,
  'joined' | 'lastIndex' | 'committedIndex' | 'appliedIndex'
>;
type Disk = Pick<
  ReplicaStatus,
  | 'incarnation'
  | 'clusterId'
  | 'lineage'
  | 'joined'
  | 'lastIndex'
  | 'committedIndex'
  | 'knownAppliedIndex'
>;

const NOTHING_KNOWN = GetStatusResponse.decode(new Uint8Array());

/**
 * The servers of a cluster as their status pages show them, completed by what the operator has
 * noted; without any page as the operator has noted alone. They can be asked, and do nothing.
 */
export function seenReplicas(
  cluster: AtomicClusterObject,
  pods: readonly PodObject[],
  pages: ReadonlyMap<number, Page>,
): Replicas {
  const { name, namespace = '' } = cluster.metadata;
  const seen = new SeenGroup({ namespace, name }, cluster, pages);
  const ordinals = new Map(
    pods.map(({ metadata, status }) => [
      addressOf(status?.podIP ?? ''),
      ordinalOf(name, metadata.name),
    ]),
  );
  return new Replicas((address) => onlyAsked(seen, ordinals.get(address)));
}

function onlyAsked(seen: SeenGroup, ordinal: number | undefined): Replica {
  const refuse = (): Promise<never> => Promise.reject(new Error('only its status is known here'));
  return {
    status: ({ linearizable }) => {
      const status = ordinal === undefined ? undefined : seen.statusOf(ordinal, linearizable);
      return status === undefined ? refuse() : Promise.resolve(status);
    },
    ...{ bootstrap: refuse, joinFresh: refuse, claimOperator: refuse, changePeers: refuse },
    transferLeader: refuse,
    [Symbol.dispose]: () => undefined,
  };
}

class SeenGroup {
  readonly #name: ClusterName;
  readonly #cluster: AtomicClusterObject;
  readonly #pages: ReadonlyMap<number, Page>;
  /** That of the leader, else of the newest term. */
  readonly #best: Page | undefined;
  readonly #leader: number | undefined;

  constructor(name: ClusterName, cluster: AtomicClusterObject, pages: ReadonlyMap<number, Page>) {
    this.#name = name;
    this.#cluster = cluster;
    this.#pages = pages;
    const named = ({ leader }: Page): number => (leader === null ? 0 : 1);
    const [newest] = [...pages.values()].sort((a, b) => b.term - a.term || named(b) - named(a));
    this.#leader = newest === undefined ? this.#notedLeader() : this.#ordinalOf(newest.leader);
    this.#best = (this.#leader === undefined ? undefined : pages.get(this.#leader)) ?? newest;
  }

  /** Undefined for a server that does not answer, or not as a leader with a quorum if it must. */
  statusOf(ordinal: number, linearizable: boolean): ReplicaStatus | undefined {
    if (!this.#answers(ordinal)) return undefined;
    const isLeader = ordinal === this.#leader;
    if (linearizable && !(isLeader && this.#hasQuorum())) return undefined;
    return {
      ...NOTHING_KNOWN,
      ...this.#membership(),
      ...this.#diskOf(ordinal),
      peerId: peerId(this.#name, ordinal),
      version: this.#versionOf(ordinal),
      term: this.#best?.term ?? this.#cluster.status?.term ?? 0,
      state: isLeader ? 'LEADER' : 'FOLLOWER',
      followers: isLeader ? this.#followers() : [],
    };
  }

  #versionOf(ordinal: number): string {
    return this.#live(ordinal)?.activity?.version ?? this.#noted(ordinal)?.version ?? '';
  }

  #answers(ordinal: number): boolean {
    if (this.#best !== undefined) return this.#live(ordinal)?.status !== undefined;
    const noted = this.#noted(ordinal);
    return noted !== undefined && noted.state !== 'Unreachable';
  }

  #membership(): Pick<
    ReplicaStatus,
    'peers' | 'outgoingPeers' | 'learners' | 'configurationIndex' | 'committedConfigurationIndex'
  > {
    const best = this.#best;
    const index = best?.configurationIndex ?? this.#cluster.status?.configurationIndex ?? 0;
    const inRole = (role: PageMember['role']): string[] =>
      (best?.members ?? []).filter((one) => one.role === role).map(({ peer }) => peer);
    return {
      peers: best === undefined ? this.#notedVoters() : inRole('voter'),
      outgoingPeers: inRole('outgoing'),
      learners: inRole('learner'),
      configurationIndex: index,
      // A change that is under way is not committed yet, in one part or the other.
      committedConfigurationIndex: best?.changing === true ? Math.max(0, index - 1) : index,
    };
  }

  #diskOf(ordinal: number): Disk {
    const { clusterID = '', lineage } = this.#cluster.status ?? {};
    const { joined, ...indexes } = this.#live(ordinal)?.status ?? this.#notedProgress(ordinal);
    return {
      incarnation: this.#incarnationOf(ordinal),
      clusterId: joined ? clusterID : '',
      lineage: joined ? (lineage?.id ?? '') : '',
      joined,
      lastIndex: indexes.lastIndex,
      committedIndex: indexes.committedIndex,
      knownAppliedIndex: indexes.appliedIndex,
    };
  }

  #notedProgress(ordinal: number): Progress {
    const noted = this.#noted(ordinal);
    const joined = noted?.votes === true || noted?.state === 'Removed';
    const index = joined ? (this.#cluster.status?.watermark?.commitIndex ?? 0) : 0;
    return { joined, lastIndex: index, committedIndex: index, appliedIndex: index };
  }

  #followers(): ReplicaStatus['followers'] {
    const { peers, learners } = this.#membership();
    return [...peers, ...learners].flatMap((peer) => {
      const ordinal = this.#ordinalOf(peer);
      if (ordinal === undefined || ordinal === this.#leader) return [];
      const isLost = this.#noted(ordinal)?.state === 'DiskLost';
      const matchIndex = this.#diskOf(ordinal).lastIndex;
      return [
        {
          ...{ peerId: peer, voter: peers.includes(peer), matchIndex, nextIndex: matchIndex + 1 },
          incarnation: isLost ? LOST_DISK : this.#incarnationOf(ordinal),
          lastContactMs: this.#contactMs(ordinal),
          installingSnapshot: this.#bestEntry(ordinal)?.installingSnapshot ?? false,
          readonly: false,
        },
      ];
    });
  }

  #hasQuorum(): boolean {
    const voters = this.#membership().peers;
    const others = this.#followers().filter((one) => one.voter && hasAnswered(one));
    return others.length + 1 >= quorumOf(voters.length);
  }

  /** The leader's page knows; without one it is what the operator has noted. */
  #contactMs(ordinal: number): number {
    const leader = this.#leader;
    if (leader !== undefined && this.#pages.has(leader)) {
      return this.#bestEntry(ordinal)?.lastContactMs ?? NEVER_HEARD;
    }
    return this.#noted(ordinal)?.state === 'Participating' ? 0 : NEVER_HEARD;
  }

  #bestEntry(ordinal: number): PageMember | undefined {
    return this.#best?.members.find(({ peer }) => this.#ordinalOf(peer) === ordinal);
  }

  /** A server's own word, else what another one heard from it. */
  #live(ordinal: number): PageMember | undefined {
    const own = this.#pages.get(ordinal)?.members.find(({ self }) => self);
    if (own !== undefined) return own;
    return [...this.#pages.values()]
      .flatMap(({ members }) => members)
      .find(({ peer, status }) => status !== undefined && this.#ordinalOf(peer) === ordinal);
  }

  #noted(ordinal: number): MemberState | undefined {
    const name = podName(this.#name.name, ordinal);
    return this.#cluster.status?.members?.find((member) => member.name === name);
  }

  #incarnationOf(ordinal: number): string {
    return this.#noted(ordinal)?.incarnation ?? `disk-of-${String(ordinal)}`;
  }

  #notedVoters(): string[] {
    const voters = (this.#cluster.status?.members ?? []).filter(({ votes }) => votes);
    return voters.flatMap(({ name }) => {
      const ordinal = ordinalOf(this.#name.name, name);
      return ordinal === undefined ? [] : [peerId(this.#name, ordinal)];
    });
  }

  #notedLeader(): number | undefined {
    const { status } = this.#cluster;
    const leads = conditionOf(status, 'Available')?.status === 'True';
    if (status?.leader === undefined || !leads) return undefined;
    return ordinalOf(this.#name.name, status.leader);
  }

  #ordinalOf(peer: string | null): number | undefined {
    return peer === null ? undefined : ordinalOfPeer(this.#name, peer);
  }
}
