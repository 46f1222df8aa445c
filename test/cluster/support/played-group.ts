import { MembershipError, type ReplicaStatus } from '../../../client/index.ts';
import { atomicClusterSpecSchema } from '../../../operator/api/atomic-cluster.ts';
import type { PodObject } from '../../../operator/cluster/kubernetes-objects.ts';
import { keyText } from '../../../operator/controller/kubernetes-object.ts';
import { ordinalOf, peerId, type ClusterName } from '../../../operator/resources/names.ts';
import { GetStatusResponse } from '../../../proto/gen/raft/v1/cli.ts';
import { Judge, type JudgedWorld } from '../../model/judge.ts';
import {
  RaftGroup,
  Refused,
  type Configuration,
  type Disk,
  type Entry,
  type Server,
} from '../../model/raft-group.ts';
import { SimulationRandom } from '../../simulation/random.ts';
import type { ClusterView } from './cluster-view.ts';
import { PlayedNodes, type PlayedProcesses } from './played-nodes.ts';
import type { ApiClient } from '../../../operator/controller/api-client.ts';

/** The group takes one step in this time: everybody who can be reached talks. */
const STEP_MS = 1_000;
/** A group that had no leader for so long is as good as down. */
const STUCK_MS = 20_000;
const WRITE_CHANCE = 0.3;

export type PlayedGroupOptions = {
  readonly api: ApiClient;
  readonly view: ClusterView;
  readonly cluster: ClusterName;
  readonly seed: number;
};

/**
 * The servers of one AtomicCluster, played by the model of the group, in pods that a real API
 * server has. The judge of the model watches it.
 */
export class PlayedGroup implements JudgedWorld, PlayedProcesses {
  readonly group: RaftGroup;
  readonly judge: Judge;
  readonly nodes: PlayedNodes;
  readonly disks: Disk[] = [];
  readonly answeredAtMs = new Map<string, number>();
  nowMs = 0;
  stuckAtMs = -Infinity;
  readonly #view: ClusterView;
  readonly #cluster: ClusterName;
  readonly #random: SimulationRandom;
  /** By the uid of the claim. */
  readonly #disksOfClaims = new Map<string, Disk>();
  readonly #afterStep: (() => void)[] = [];
  #leaderlessSinceMs = 0;

  constructor({ api, view, cluster, seed }: PlayedGroupOptions) {
    this.#view = view;
    this.#cluster = cluster;
    this.#random = new SimulationRandom(seed, 'group');
    this.group = new RaftGroup(this.#random);
    this.judge = new Judge(this);
    const { pods, claims } = view;
    const { namespace } = cluster;
    this.nodes = new PlayedNodes({ api, namespace, pods, claims, processes: this });
  }

  get objects(): JudgedWorld['objects'] {
    const key = keyText(this.#cluster);
    const cluster = this.#view.clusters.get(key);
    const set = this.#view.sets.get(key);
    // Volumes do not grow here: nothing else is judged by images and claims.
    const image = '';
    return {
      claims: [],
      cluster: cluster && { spec: atomicClusterSpecSchema.parse(cluster.spec) },
      set: set && { replicas: set.spec?.replicas ?? 1, image },
      pods: this.nodes.pods().flatMap((pod) => {
        const ordinal = this.#ordinalOf(pod);
        const deleting = pod.metadata.deletionTimestamp !== undefined;
        return ordinal === undefined ? [] : [{ ordinal, image, deleting }];
      }),
    };
  }

  /** Everybody does what is next, if it is time for that. */
  step(nowMs: number): void {
    if (nowMs - this.nowMs < STEP_MS) return;
    this.nowMs = nowMs;
    void this.nodes.look();
    this.#endDisks();
    const reachable = this.taking();
    if (this.#random.chance(WRITE_CHANCE)) this.group.write(reachable);
    this.group.step(reachable, nowMs);
    if (reachable.some((one) => this.group.isConfirmed(one, reachable))) {
      this.#leaderlessSinceMs = nowMs;
    }
    if (nowMs - this.#leaderlessSinceMs > STUCK_MS) this.stuckAtMs = nowMs;
    for (const { disk } of reachable) this.answeredAtMs.set(disk.incarnation, nowMs);
    this.judge.watch();
    for (const waiter of this.#afterStep.splice(0)) waiter();
  }

  /** Resolves after the next step. */
  stepped(): Promise<void> {
    return new Promise((resolve) => {
      this.#afterStep.push(resolve);
    });
  }

  taking(): Server[] {
    return this.nodes.pods().flatMap(({ metadata }) => this.group.get(metadata.uid ?? '') ?? []);
  }

  diskOf(incarnation: string): Disk | undefined {
    return this.disks.find((disk) => disk.incarnation === incarnation && !disk.lost);
  }

  isIntact(incarnation: string): boolean {
    return this.diskOf(incarnation) !== undefined;
  }

  start(pod: PodObject, claimUid: string): boolean {
    const ordinal = this.#ordinalOf(pod);
    if (ordinal === undefined) return false;
    const disk = this.#disksOfClaims.get(claimUid) ?? this.#newDisk(claimUid);
    this.group.start(pod.metadata.uid ?? '', ordinal, disk, this.nowMs);
    return true;
  }

  stop(podUid: string): void {
    this.group.stop(podUid);
  }

  runs(podUid: string): boolean {
    return this.group.get(podUid) !== undefined;
  }

  isReady(podUid: string): boolean {
    return this.group.get(podUid)?.disk.joined ?? false;
  }

  /** Empties the disk of a member, whose server starts again; false when too much would be lost. */
  loseDiskOf(ordinal: number): boolean {
    const server = this.#serverOf(ordinal);
    const lost = [...this.#disksOfClaims].find(([, disk]) => disk === server?.disk);
    if (server === undefined || lost === undefined) return false;
    const [claimUid, disk] = lost;
    if (!this.judge.survivesLossOf([disk])) return false;
    disk.lost = true;
    this.#newDisk(claimUid);
    this.group.stop(server.podUid);
    return true;
  }

  /** Hands leadership over; false when that was refused. */
  letLead(ordinal: number): boolean {
    const leader = this.taking().find(({ leads }) => leads);
    try {
      if (leader !== undefined) this.group.transfer(leader, ordinal, this.taking());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    return this.#serverOf(ordinal)?.leads ?? false;
  }

  #serverOf(ordinal: number): Server | undefined {
    return this.taking().find((one) => one.ordinal === ordinal);
  }

  /** The server in the pod with this address. @throws MembershipError when none answers. */
  at(ip: string): Server {
    const pod = this.nodes.pods().find(({ status }) => status?.podIP === ip);
    const server = this.group.get(pod?.metadata.uid ?? '');
    if (server === undefined) throw refusal('UNAVAILABLE', `${ip} cannot be reached`);
    return server;
  }

  statusOf(server: Server): ReplicaStatus {
    const { disk, ordinal, leads } = server;
    const { incarnation, lineage, clusterId, joined, term, tail, knownCommit } = disk;
    const follows = joined ? 'FOLLOWER' : 'UNINITIALIZED';
    return GetStatusResponse.fromPartial({
      peerId: peerId(this.#cluster, ordinal),
      state: leads ? 'LEADER' : follows,
      ...{ incarnation, lineage, clusterId, joined, term },
      ...{ committedIndex: knownCommit, lastIndex: tail?.index ?? 0 },
      ...(tail !== undefined && this.#configurationOf(tail, knownCommit)),
      followers: leads ? this.#followersOf(server) : [],
      version: 'played',
    });
  }

  #configurationOf(tail: Entry, commitIndex: number): Partial<ReplicaStatus> {
    const { voters, outgoing, index, fence } = tail.configuration;
    const peersOf = (some: Configuration['voters']): string[] =>
      [...some.keys()].map((ordinal) => peerId(this.#cluster, ordinal));
    let committed = tail;
    while (committed.parent !== undefined && committed.configuration.index > commitIndex)
      committed = committed.parent;
    return {
      peers: peersOf(voters),
      outgoingPeers: outgoing === undefined ? [] : peersOf(outgoing),
      ...{ configurationIndex: index, fence },
      committedConfigurationIndex: committed.configuration.index,
    };
  }

  #followersOf({ disk, ordinal: own, contacts, change }: Server): ReplicaStatus['followers'] {
    const bound = disk.tail?.configuration.voters ?? new Map<number, string>();
    const others = [...new Set([...bound.keys(), ...(change?.added ?? [])])];
    return others
      .filter((ordinal) => ordinal !== own)
      .map((ordinal) => {
        const contact = contacts.get(ordinal);
        const matchIndex = contact?.matchIndex ?? 0;
        return {
          peerId: peerId(this.#cluster, ordinal),
          incarnation: bound.get(ordinal) || (contact?.incarnation ?? ''),
          voter: bound.has(ordinal),
          ...{ matchIndex, nextIndex: matchIndex + 1 },
          lastContactMs: contact === undefined ? -1 : this.nowMs - contact.atMs,
          ...{ installingSnapshot: false, readonly: false },
        };
      });
  }

  #ordinalOf({ metadata }: PodObject): number | undefined {
    return ordinalOf(this.#cluster.name, metadata.name);
  }

  #newDisk(claimUid: string): Disk {
    const disk: Disk = {
      ...{ id: `disk${String(this.disks.length + 1)}`, node: undefined, incarnation: '' },
      ...{ clusterId: '', lineage: '', joined: false, tail: undefined },
      ...{ knownCommit: 0, term: 0, lost: false },
    };
    this.disks.push(disk);
    this.#disksOfClaims.set(claimUid, disk);
    return disk;
  }

  /** A volume ends with its claim. */
  #endDisks(): void {
    const claims = this.#view.claims.byIndex('namespace', this.#cluster.namespace);
    const kept = new Set(claims.map(({ metadata }) => metadata.uid));
    for (const [claimUid, disk] of this.#disksOfClaims) if (!kept.has(claimUid)) disk.lost = true;
  }
}

/** What a server refuses, and what does not reach it, was certainly not done. */
export function refusal(code: string, message: string): MembershipError {
  return new MembershipError(code, message, { number: 1, outcome: 'notProposed' });
}
