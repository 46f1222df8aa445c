import { quantityBytes } from '../../operator/api/quantity.ts';
import type { Action } from '../../operator/cluster/action.ts';
import { quorumOf, SPARE_VOTERS_MIN } from '../../operator/cluster/plan/membership.ts';
import type { Disk } from './raft-group.ts';
import { holds } from './raft-group.ts';
import type { ClaimObject, ClusterObject, PodObject, SetObject, World } from './kubernetes.ts';

/** Nobody can know of a silence that has only just begun. */
const SILENCE_SEEN_MS = 6_000;

/** What is looked at: the model's own world, or one that is played on a real API server. */
export type JudgedWorld = Pick<
  World,
  'group' | 'disks' | 'nowMs' | 'stuckAtMs' | 'answeredAtMs' | 'diskOf' | 'isIntact' | 'taking'
> & {
  readonly objects: {
    readonly cluster: Pick<ClusterObject, 'spec'> | undefined;
    readonly set: Pick<SetObject, 'replicas' | 'image'> | undefined;
    readonly pods: readonly Pick<PodObject, 'ordinal' | 'image' | 'deleting'>[];
    readonly claims: readonly Pick<
      ClaimObject,
      'ordinal' | 'requestedBytes' | 'capacityBytes' | 'quarantinedAt'
    >[];
  };
};

/** Watches that no act of an operator does harm; says what did. */
export class Judge {
  readonly #world: JudgedWorld;
  readonly violations: string[] = [];
  /** Faults alone have taken a majority of the disks. */
  disaster = false;

  constructor(world: JudgedWorld) {
    this.#world = world;
  }

  /** Called before the effect of an action that all its preconditions let through. */
  judge(action: Action): void {
    switch (action.type) {
      case 'deletePod':
      case 'evictPod':
        return this.#judgeStop([action.ordinal], action.type);
      case 'setReplicas':
      case 'createStatefulSet':
        return this.#judgeReplicas(action);
      case 'changePeers':
        return this.#judgeChange(action.voters);
      case 'joinFresh':
        return this.#judgeDisk(action.ordinal, action.type, action.incarnation);
      case 'growClaim':
        return this.#judgeGrowth(action);
      case 'orphanPods':
        return this.#judgeOrphans();
      case 'deleteClaim':
        return this.#judgeClaim(action.ordinal);
      case 'bootstrap':
        if (this.#world.group.founded.length > 0) this.#say('a second group is bootstrapped');
        return;
      default:
        return;
    }
  }

  /** Called after every step. */
  watch(): void {
    const { group } = this.#world;
    const { committed } = group;
    if (group.founded.length > 1) this.#say('more than one group was begun');
    if (committed === undefined || this.disaster) return;
    const voters = [...committed.configuration.voters];
    const holders = voters.filter(([, bound]) => {
      const disk = this.#world.diskOf(bound);
      return disk !== undefined && holds(disk.tail, committed);
    });
    if (holders.length < quorumOf(voters.length))
      this.#say('what was committed is not on a majority of the disks');
  }

  /** A fault takes a disk for good: whether a majority still holds everything without it. */
  survivesLossOf(disks: readonly Disk[]): boolean {
    const { committed, founded } = this.#world.group;
    // What has just begun is on one disk only.
    if (committed === undefined) return founded.length === 0;
    const { voters, outgoing } = committed.configuration;
    const planned = this.#world.group.plannedVoters();
    return [voters, outgoing, this.#latestVoters(), ...planned].every((some) => {
      if (some === undefined) return true;
      const holders = [...some.values()].filter((bound) => {
        const disk = this.#world.diskOf(bound);
        if (disk === undefined || disks.includes(disk) || !this.#world.isIntact(bound))
          return false;
        return holds(disk.tail, committed);
      });
      return holders.length >= quorumOf(some.size);
    });
  }

  /** Faults took a majority of a membership that had just been written. */
  isLost(): boolean {
    const voters = [...this.#latestVoters().values()];
    const intact = voters.filter((bound) => this.#world.isIntact(bound));
    return intact.length < quorumOf(voters.length);
  }

  /** The voters of the newest configuration anywhere. */
  #latestVoters(): ReadonlyMap<number, string> {
    const { group, disks } = this.#world;
    let latest = group.committed?.configuration;
    for (const { tail, lost } of disks) {
      const other = tail?.configuration;
      if (!lost && other !== undefined && other.index > (latest?.index ?? 0)) latest = other;
    }
    return latest?.voters ?? new Map<number, string>();
  }

  #judgeStop(ordinals: readonly number[], what: string): void {
    const voters = this.#world.group.voters();
    const { cluster } = this.#world.objects;
    const { nowMs, stuckAtMs } = this.#world;
    const stuck = nowMs - stuckAtMs <= SILENCE_SEEN_MS;
    // A group of three that has shrunk to two for a while is not meant to stand still.
    const size = Math.max(voters.size, cluster?.spec.replicas ?? 0);
    if (cluster?.spec.hibernate === true || stuck || size < SPARE_VOTERS_MIN) return;
    const up = [...voters].filter(([, bound]) => this.#answered(bound)).map(([at]) => at);
    const running = new Set(this.#world.taking().map(({ ordinal }) => ordinal));
    const left = up.filter((ordinal) => !ordinals.includes(ordinal) || !running.has(ordinal));
    const quorum = quorumOf(voters.size);
    if (up.length >= quorum && left.length < quorum)
      this.#say(`${what} of ${ordinals.join(',')} leaves ${String(left.length)} voters up`);
  }

  #judgeReplicas({ type, replicas }: Action & { readonly replicas: number }): void {
    const { cluster, pods, set } = this.#world.objects;
    if (cluster?.spec.hibernate === true) return;
    const voters = this.#world.group.voters();
    // What somebody else has scaled away or stopped already is not the operator's doing.
    const until = set?.replicas ?? Infinity;
    const stopped = pods.filter(
      ({ ordinal, deleting }) => ordinal >= replicas && ordinal < until && !deleting,
    );
    const voting = stopped.filter(({ ordinal }) => voters.has(ordinal));
    if (voting.length > 0)
      this.#say(`${type} ${String(replicas)} stops voters, pods ended before peers were removed`);
  }

  #judgeChange(next: readonly number[]): void {
    const voters = this.#world.group.voters();
    const removed = [...voters].filter(([ordinal]) => !next.includes(ordinal));
    const up = [...voters].filter(([at, bound]) => next.includes(at) && this.#answered(bound));
    const added = next.filter((ordinal) => !voters.has(ordinal));
    if (up.length + added.length < quorumOf(next.length))
      this.#say(`changePeers to ${next.join(',')} leaves no quorum up`);
    const replicas = this.#world.objects.cluster?.spec.replicas ?? 0;
    if (voters.size > replicas) return;
    for (const [ordinal, bound] of removed) {
      const gone = added.length > 0 && ordinal >= replicas;
      if (!gone && this.#world.isIntact(bound))
        this.#say(`${String(ordinal)} is removed with its disk intact`);
    }
  }

  #judgeDisk(ordinal: number, what: string, incarnation: string): void {
    const bound = this.#world.group.voters().get(ordinal);
    const latest = this.#latestVoters().get(ordinal);
    if (bound === incarnation || latest === incarnation)
      this.#say(`${what} of ${String(ordinal)}, whose disk is a voter's`);
  }

  #judgeClaim(ordinal: number): void {
    const { group } = this.#world;
    if (group.voters().has(ordinal) || this.#latestVoters().has(ordinal))
      this.#say(`deleteClaim of ${String(ordinal)}, which is a voter`);
  }

  #judgeGrowth({ ordinal, size }: Extract<Action, { readonly type: 'growClaim' }>): void {
    const { claims } = this.#world.objects;
    const claim = claims.find((one) => one.ordinal === ordinal);
    if (claim !== undefined && quantityBytes(size) < claim.requestedBytes)
      this.#say(`growClaim makes the volume of ${String(ordinal)} smaller`);
    const others = claims.filter(
      (one) => one.ordinal !== ordinal && one.capacityBytes < one.requestedBytes,
    );
    const pods = others.filter(({ ordinal: at, quarantinedAt }) => {
      return quarantinedAt === undefined && this.#world.group.voters().has(at);
    });
    if (pods.length > 0) this.#say('growClaim while another volume still grows');
  }

  /** For a while nobody replaces a pod, and the next set has the template of the spec. */
  #judgeOrphans(): void {
    const { set, pods, cluster, claims } = this.#world.objects;
    const voters = [...this.#world.group.voters()];
    if (voters.some(([, bound]) => !this.#answered(bound)))
      this.#say('the StatefulSet is made anew while a voter is missing');
    if (set?.image !== cluster?.spec.version || pods.some(({ image }) => image !== set?.image))
      this.#say('the StatefulSet is made anew during a roll');
    const size = quantityBytes(cluster?.spec.storage.size ?? '');
    const used = claims.filter(({ ordinal }) => voters.some(([at]) => at === ordinal));
    if (used.some(({ capacityBytes }) => capacityBytes < size))
      this.#say('the StatefulSet is made anew before the volumes have grown');
  }

  #answered(incarnation: string): boolean {
    const { answeredAtMs, nowMs } = this.#world;
    return nowMs - (answeredAtMs.get(incarnation) ?? -Infinity) <= SILENCE_SEEN_MS;
  }

  #say(text: string): void {
    if (!this.violations.includes(text)) this.violations.push(text);
  }
}
