import {
  atomicClusterSpecSchema,
  type AtomicClusterStatus,
} from '../../operator/api/atomic-cluster.ts';
import { quantityBytes } from '../../operator/api/quantity.ts';
import type { Observed } from '../../operator/cluster/observed.ts';
import type { SimulationRandom } from '../simulation/random.ts';
import { RaftGroup, type Disk, type Server } from './raft-group.ts';

export type ClusterObject = {
  readonly uid: string;
  readonly resourceVersion: number;
  readonly generation: number;
  readonly spec: Observed['spec'];
  readonly status: AtomicClusterStatus;
  readonly adoptClusterId: string | undefined;
};

export type SetObject = {
  readonly uid: string;
  readonly resourceVersion: number;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly ownerUid: string;
  readonly replicas: number;
  /** Hash of the template as its annotation has it. */
  readonly templateHash: string;
  /** All that differs between templates here. */
  readonly image: string;
  readonly updateRevision: string | undefined;
  /** Size of the volumes that it makes. */
  readonly claimSize: string;
};

export type PodObject = {
  readonly ordinal: number;
  readonly uid: string;
  readonly revision: string;
  readonly image: string;
  readonly node: string | undefined;
  readonly running: boolean;
  readonly ready: boolean;
  readonly deleting: boolean;
  readonly trouble: string | undefined;
};

export type ClaimObject = {
  readonly ordinal: number;
  readonly uid: string;
  readonly disk: Disk | undefined;
  readonly deleting: boolean;
  readonly clusterId: string | undefined;
  readonly quarantinedAt: string | undefined;
  /** What was asked for, and what it has. */
  readonly requestedBytes: number;
  readonly capacityBytes: number;
};

/** What the API server has: every kind is replaced as a whole, so that old ones can be kept. */
export type Objects = {
  readonly cluster: ClusterObject | undefined;
  readonly set: SetObject | undefined;
  readonly pods: readonly PodObject[];
  readonly claims: readonly ClaimObject[];
  readonly nodes: readonly string[];
};

/** Settings of a world that stay. */
export type WorldOptions = {
  readonly replicas: number;
  /** Volumes live on one node each. */
  readonly nodeBound: boolean;
};

/** A group that had no leader for so long is as good as down. */
const STUCK_MS = 20_000;

export const revisionOf = (image: string): string => `rev-${image}`;
export const hashOf = (image: string): string => `hash-${image}`;

/** Kubernetes and the group on it; one step is a second. */
export class World {
  readonly random: SimulationRandom;
  readonly group: RaftGroup;
  readonly nodeBound: boolean;
  objects: Objects;
  nowMs = 0;
  /** Nodes that are down and come back. */
  readonly crashed = new Set<string>();
  /** Pods whose processes stand still. */
  readonly frozen = new Set<string>();
  readonly brokenImages = new Set<string>();
  /** Whether Kubernetes grows volumes at present. */
  volumesMayGrow = true;
  readonly disks: Disk[] = [];
  /** Revisions that the StatefulSet controller still has. */
  readonly revisions = new Map<string, string>();
  /** When a disk was last seen to answer: what an operator may rely on. */
  readonly answeredAtMs = new Map<string, number>();
  /** Since when nobody leads, and when that had last held for long. */
  #leaderlessSinceMs = 0;
  stuckAtMs = -Infinity;
  #names = 0;

  constructor({ replicas, nodeBound }: WorldOptions, random: SimulationRandom) {
    this.random = random;
    this.nodeBound = nodeBound;
    this.group = new RaftGroup(random);
    this.objects = {
      cluster: this.newCluster(replicas),
      ...{ set: undefined, pods: [], claims: [], nodes: ['n1', 'n2', 'n3', 'n4', 'n5'] },
    };
  }

  name(prefix: string): string {
    return `${prefix}${String(++this.#names)}`;
  }

  newCluster(replicas: number): ClusterObject {
    const spec = atomicClusterSpecSchema.parse({
      replicas,
      version: 'v1',
      memberLossGracePeriod: '15s',
      storage: { retention: { quarantineTTL: '2m' } },
      updateStrategy: { canaryDeadline: '30s' },
      disasterRecovery: { quorumLossGracePeriod: '20s' },
    });
    const uid = this.name('cluster');
    return { uid, resourceVersion: 1, generation: 1, spec, status: {}, adoptClusterId: undefined };
  }

  now(): string {
    return new Date(Date.UTC(2030, 0, 1) + this.nowMs).toISOString();
  }

  patchCluster(change: Partial<ClusterObject>): void {
    const { cluster } = this.objects;
    if (cluster === undefined) return;
    const resourceVersion = cluster.resourceVersion + 1;
    const generation = cluster.generation + (change.spec === undefined ? 0 : 1);
    this.objects = {
      ...this.objects,
      cluster: { ...cluster, ...change, resourceVersion, generation },
    };
  }

  patchSet(change: Partial<SetObject>): void {
    const { set } = this.objects;
    if (set === undefined) return;
    const resourceVersion = set.resourceVersion + 1;
    const changed = change.replicas !== undefined || change.image !== undefined;
    const generation = set.generation + (changed ? 1 : 0);
    this.objects = { ...this.objects, set: { ...set, ...change, resourceVersion, generation } };
  }

  patchPod(uid: string, change: Partial<PodObject>): void {
    const pods = this.objects.pods.map((pod) => (pod.uid === uid ? { ...pod, ...change } : pod));
    this.objects = { ...this.objects, pods };
  }

  removePod(uid: string): void {
    this.group.stop(uid);
    this.frozen.delete(uid);
    this.objects = { ...this.objects, pods: this.objects.pods.filter((pod) => pod.uid !== uid) };
  }

  patchClaim(uid: string, change: Partial<ClaimObject>): void {
    const claims = this.objects.claims.map((claim) =>
      claim.uid === uid ? { ...claim, ...change } : claim,
    );
    this.objects = { ...this.objects, claims };
  }

  createSet({ replicas, image }: { readonly replicas: number; readonly image: string }): void {
    const { cluster } = this.objects;
    const set = {
      ...{ uid: this.name('set'), resourceVersion: 1, generation: 1, observedGeneration: 0 },
      ...{ ownerUid: cluster?.uid ?? '', replicas, templateHash: hashOf(image), image },
      updateRevision: undefined,
      claimSize: cluster?.spec.storage.size ?? '',
    };
    this.objects = { ...this.objects, set };
  }

  pod(ordinal: number): PodObject | undefined {
    return this.objects.pods.find((pod) => pod.ordinal === ordinal);
  }

  claim(ordinal: number): ClaimObject | undefined {
    return this.objects.claims.find((claim) => claim.ordinal === ordinal);
  }

  /** Servers that answer at this moment. */
  reachable(): Server[] {
    return this.objects.pods.flatMap(({ uid, node }) => {
      const server = this.group.get(uid);
      const isolated = this.frozen.has(uid) || (node !== undefined && this.crashed.has(node));
      return server === undefined || isolated ? [] : [server];
    });
  }

  /** Those of them that can also talk to each other. */
  taking(): Server[] {
    const lame = new Set(
      this.objects.pods.filter(({ image }) => image === 'lame').map(({ uid }) => uid),
    );
    return this.reachable().filter(({ podUid }) => !lame.has(podUid));
  }

  diskOf(incarnation: string): Disk | undefined {
    return this.disks.find((disk) => disk.incarnation === incarnation && !disk.lost);
  }

  /** Whether the disk can still be used: it exists, and so does its node. */
  isIntact(incarnation: string): boolean {
    const disk = this.diskOf(incarnation);
    return disk !== undefined && (disk.node === undefined || this.hasNode(disk.node));
  }

  hasNode(node: string): boolean {
    return this.objects.nodes.includes(node);
  }

  step(): void {
    this.nowMs += 1_000;
    this.#controlSet();
    this.#collectGarbage();
    for (const pod of this.objects.pods) this.#runPod(pod);
    this.#endClaims();
    this.#growVolumes();
    const reachable = this.taking();
    if (this.random.chance(0.3)) this.group.write(reachable);
    this.group.step(reachable, this.nowMs);
    if (reachable.some((one) => this.group.isConfirmed(one, reachable))) {
      this.#leaderlessSinceMs = this.nowMs;
    }
    if (this.nowMs - this.#leaderlessSinceMs > STUCK_MS) this.stuckAtMs = this.nowMs;
    for (const { disk } of reachable) this.answeredAtMs.set(disk.incarnation, this.nowMs);
    this.#tellReadiness(reachable);
  }

  /** The StatefulSet controller with Parallel and OnDelete. */
  #controlSet(): void {
    const { set } = this.objects;
    if (set === undefined || this.random.chance(0.2)) return;
    this.#noteRevision(set);
    this.#keepPods(set);
  }

  #noteRevision(set: SetObject): void {
    const revision = revisionOf(set.image);
    this.revisions.set(revision, set.image);
    if (set.observedGeneration !== set.generation || set.updateRevision !== revision) {
      const seen = { observedGeneration: set.generation, updateRevision: revision };
      this.objects = {
        ...this.objects,
        set: { ...set, ...seen, resourceVersion: set.resourceVersion + 1 },
      };
    }
  }

  #keepPods({ replicas, image, claimSize }: SetObject): void {
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const pod = this.pod(ordinal);
      if (pod === undefined) this.#createPod(ordinal, image);
      if (this.claim(ordinal) === undefined && pod?.node === undefined)
        this.#createClaim(ordinal, quantityBytes(claimSize));
    }
    for (const pod of this.objects.pods) {
      if (pod.ordinal >= replicas && !pod.deleting) this.patchPod(pod.uid, { deleting: true });
    }
  }

  #createPod(ordinal: number, image: string): void {
    const pod = {
      ...{ ordinal, uid: this.name('pod'), revision: revisionOf(image), image, node: undefined },
      ...{ running: false, ready: false, deleting: false, trouble: undefined },
    };
    this.objects = { ...this.objects, pods: [...this.objects.pods, pod] };
  }

  #createClaim(ordinal: number, bytes: number): void {
    const claim = {
      ...{ ordinal, uid: this.name('claim'), disk: undefined, deleting: false },
      ...{ clusterId: undefined, quarantinedAt: undefined },
      ...{ requestedBytes: bytes, capacityBytes: bytes },
    };
    this.objects = { ...this.objects, claims: [...this.objects.claims, claim] };
  }

  /** What belonged to a cluster that was deleted ends, but for its claims. */
  #collectGarbage(): void {
    const { set, cluster } = this.objects;
    if (set === undefined || set.ownerUid === cluster?.uid) return;
    if (this.random.chance(0.5)) this.endSet();
  }

  /** The StatefulSet goes, and its pods and revisions with it. */
  endSet(): void {
    this.objects = { ...this.objects, set: undefined };
    this.revisions.clear();
    for (const { uid } of this.objects.pods) this.patchPod(uid, { deleting: true });
  }

  /** Scheduler and kubelet. */
  #runPod(pod: PodObject): void {
    const { uid, node, deleting } = pod;
    if (node !== undefined && !this.hasNode(node)) {
      if (this.random.chance(0.3)) this.removePod(uid);
    } else if (node !== undefined && this.crashed.has(node)) this.#standStill(pod);
    else if (deleting) {
      if (node === undefined || this.random.chance(0.6)) this.removePod(uid);
    } else if (node === undefined) this.#schedule(pod);
    else if (this.group.get(uid) === undefined && this.random.chance(0.6)) this.#startServer(pod);
  }

  /** The node of a pod is down: nobody but the API server can say anything of it. */
  #standStill({ uid, ready, deleting }: PodObject): void {
    this.group.stop(uid);
    if (ready) this.patchPod(uid, { ready: false });
    if (!deleting && this.random.chance(0.05)) this.patchPod(uid, { deleting: true });
  }

  #schedule({ uid, ordinal }: PodObject): void {
    const claim = this.claim(ordinal);
    const free = this.objects.nodes.filter((node) => !this.crashed.has(node));
    if (claim === undefined || claim.deleting || this.random.chance(0.3)) return;
    const bound = claim.disk?.node;
    const node = bound === undefined ? this.random.pick(free) : free.find((one) => one === bound);
    if (node === undefined) {
      return this.patchPod(uid, { trouble: 'it cannot be scheduled: no node has its volume' });
    }
    if (claim.disk === undefined) {
      this.patchClaim(claim.uid, { disk: this.newDisk(this.nodeBound ? node : undefined) });
    }
    this.patchPod(uid, { node, trouble: undefined });
  }

  newDisk(node: string | undefined): Disk {
    const disk: Disk = {
      ...{ id: this.name('disk'), node, incarnation: '', clusterId: '', lineage: '' },
      ...{ joined: false, tail: undefined, knownCommit: 0, term: 0, lost: false },
    };
    this.disks.push(disk);
    return disk;
  }

  #startServer({ uid, ordinal, image }: PodObject): void {
    const disk = this.claim(ordinal)?.disk;
    if (disk === undefined) return;
    if (image === 'broken') return this.patchPod(uid, { trouble: 'ImagePullBackOff' });
    this.patchPod(uid, { running: true, trouble: undefined });
    this.group.start(uid, ordinal, disk, this.nowMs);
  }

  /** A claim in use outlives its deletion. */
  #endClaims(): void {
    for (const { uid, ordinal, deleting, disk } of this.objects.claims) {
      if (!deleting || this.pod(ordinal)?.node !== undefined) continue;
      if (disk !== undefined) disk.lost = true;
      const claims = this.objects.claims.filter((claim) => claim.uid !== uid);
      this.objects = { ...this.objects, claims };
    }
  }

  /** The storage driver, and the node, which grows a file system only while a pod uses it. */
  #growVolumes(): void {
    for (const { uid, ordinal, requestedBytes, capacityBytes } of this.objects.claims) {
      const used = this.pod(ordinal)?.running === true;
      if (requestedBytes <= capacityBytes || !used || this.random.chance(0.6)) continue;
      this.patchClaim(uid, { capacityBytes: requestedBytes });
    }
  }

  #tellReadiness(reachable: readonly Server[]): void {
    for (const { uid, ready } of this.objects.pods) {
      const server = reachable.find(({ podUid }) => podUid === uid);
      const works = server !== undefined && server.disk.joined;
      if (works !== ready) this.patchPod(uid, { ready: works });
    }
  }
}
