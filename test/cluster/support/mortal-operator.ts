import type { ReplicaGuard } from '../../../client/index.ts';
import { assembleOperator } from '../../../operator/atomic-operator.ts';
import type { Action } from '../../../operator/cluster/action.ts';
import type { Replica } from '../../../operator/cluster/replicas.ts';
import type { KubernetesApi, WatchEvent } from '../../../operator/controller/api-client.ts';
import { EVENTS } from '../../../operator/controller/event-recorder.ts';
import type { ObjectKey, ResourceType } from '../../../operator/controller/kubernetes-object.ts';
import type { Logger } from '../../../operator/controller/logger.ts';
import type { ControllerMetrics } from '../../../operator/controller/metrics.ts';
import { ordinalOf, ordinalOfPeer, type ClusterName } from '../../../operator/resources/names.ts';
import { CLAIMS, PODS, STATEFUL_SETS } from '../../../operator/resources/resource-types.ts';
import { Judge } from '../../model/judge.ts';
import { Refused, type Guard, type Server } from '../../model/raft-group.ts';
import { refusal, type PlayedGroup } from './played-group.ts';
import type { QuickTime } from './quick-time.ts';

export type MortalOperatorOptions = {
  readonly api: KubernetesApi;
  readonly world: PlayedGroup;
  readonly cluster: ClusterName;
  readonly time: QuickTime;
  readonly metrics: ControllerMetrics;
  readonly logger: Logger;
  /** Told of every call that had its effect; true ends the operator there and then. */
  readonly called: (call: string) => boolean;
};

/** What a call is to the judge; undefined for calls that can do no harm. */
type Judged = Action | undefined;

/**
 * The real operator, which can end at any of its calls: the call has had its effect, and nothing
 * that the operator does after it has any. It never hears of it, as a process that was killed.
 *
 * A kill after a read would be the same as one after the call before it, so that reads are not
 * counted; nor are calls that were refused, and Events, which no operator reads.
 */
export class MortalOperator {
  readonly #options: MortalOperatorOptions;
  readonly #death = new AbortController();

  constructor(options: MortalOperatorOptions) {
    this.#options = options;
    const { time, metrics, logger, cluster } = options;
    const { manager } = assembleOperator(
      {
        namespace: cluster.namespace,
        image: { repository: 'registry.example/atomicraft', tag: 'v1' },
        ...{ leaderElect: false, leaseNamespace: '', leaseName: '', podName: 'operator' },
        ...{
          healthPort: 0,
          workers: 1,
          maxConcurrentRolls: 1,
          logLevel: 'info',
          logFormat: 'human',
        },
      },
      {
        ...{ api: this.#api(), connect: (address) => this.#replica(address.replace(/:\d+$/, '')) },
        ...{ clock: time.clock(this.#death.signal), metrics, logger },
      },
    );
    void manager.run(this.#death.signal);
  }

  kill(): void {
    this.#death.abort();
  }

  #isDead(): boolean {
    return this.#death.signal.aborted;
  }

  /** One call with an effect. */
  async #call<T>(call: string, judged: Judged, effect: () => Promise<T>): Promise<T> {
    const { world, called } = this.#options;
    if (this.#isDead()) return never();
    const judge = new Judge(world);
    if (judged !== undefined) judge.judge(judged);
    const result = await effect();
    world.judge.violations.push(...judge.violations);
    if (!this.#isDead() && called(call)) this.kill();
    return this.#isDead() ? never() : result;
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    if (this.#isDead()) return never();
    const result = await read();
    return this.#isDead() ? never() : result;
  }

  #api(): KubernetesApi {
    const { api } = this.#options;
    // Which pods are labelled depends on who is elected.
    const text = (verb: string, type: ResourceType, { name }: ObjectKey): string =>
      `${verb} ${type.plural} ${type === PODS ? '' : name}`.trim();
    return {
      get: (type, key) => this.#read(() => api.get(type, key)),
      list: (type, options) => this.#read(() => api.list(type, options)),
      watch: (type, options) => this.#watch(type, options),
      create: (type, object) => {
        if (type === EVENTS) return this.#read(() => api.create(type, object));
        const judged = type === STATEFUL_SETS ? replicasIn('createStatefulSet', object) : undefined;
        const call = text('create', type, object.metadata);
        return this.#call(call, judged, () => api.create(type, object));
      },
      apply: (type, object, options) =>
        this.#call(text('apply', type, object.metadata), undefined, () =>
          api.apply(type, object, options),
        ),
      patch: (type, key, patch) => {
        if (type === EVENTS) return this.#read(() => api.patch(type, key, patch));
        const judged = type === STATEFUL_SETS ? replicasIn('setReplicas', patch.body) : undefined;
        const call = `${text('patch', type, key)} ${patch.subresource ?? ''}`.trim();
        return this.#call(call, judged, () => api.patch(type, key, patch));
      },
      delete: (type, key, options) =>
        this.#call(text('delete', type, key), this.#endOf(type, key), () =>
          api.delete(type, key, options),
        ),
      evict: (key, options) =>
        this.#call(text('evict', PODS, key), this.#endOf(PODS, key), () => api.evict(key, options)),
    };
  }

  async *#watch(...[type, options]: Parameters<KubernetesApi['watch']>): AsyncIterable<WatchEvent> {
    const signal = AbortSignal.any([options.signal, this.#death.signal]);
    try {
      yield* this.#options.api.watch(type, { ...options, signal });
    } finally {
      if (this.#isDead()) await never();
    }
  }

  #endOf(type: ResourceType, { name }: ObjectKey): Judged {
    const { cluster } = this.#options;
    const prefix = type === CLAIMS ? `data-${cluster.name}` : cluster.name;
    const ordinal = ordinalOf(prefix, name);
    if (ordinal === undefined || (type !== CLAIMS && type !== PODS)) return undefined;
    return { type: type === CLAIMS ? 'deleteClaim' : 'deletePod', ordinal, uid: '' };
  }

  /** The server at an address, or whoever has it later. */
  #replica(ip: string): Replica {
    const { world } = this.#options;
    const { group } = world;
    return {
      status: ({ linearizable }) =>
        this.#read(() => {
          const server = world.at(ip);
          if (linearizable && !group.isConfirmed(server, world.taking())) {
            throw refusal('EPERM', 'not the leader, or no quorum has confirmed it');
          }
          return Promise.resolve(world.statusOf(server));
        }),
      bootstrap: (_, clusterId) =>
        this.#ask('bootstrap', { type: 'bootstrap', clusterId }, () => {
          group.bootstrap(world.at(ip), clusterId, world.nowMs);
        }),
      joinFresh: (peer, incarnation) => {
        const ordinal = this.#ordinalOf(peer);
        const judged: Action = { type: 'joinFresh', ordinal, incarnation };
        return this.#ask(`joinFresh ${String(ordinal)}`, judged, () => {
          const server = world.at(ip);
          group.joinFresh(server, incarnation, world.nowMs);
          // Its supervisor starts it again.
          group.stop(server.podUid);
        });
      },
      claimOperator: async (asked, timeoutMs) => {
        const guard = guardOf(asked);
        await this.#ask('claimOperator', undefined, () => {
          group.claim(world.at(ip), guard);
        });
        await this.#committed(world.at(ip), guard.operationId, timeoutMs);
      },
      changePeers: async (peers, asked, timeoutMs) => {
        const guard = guardOf(asked);
        const voters = peers.map((peer) => this.#ordinalOf(peer));
        const judged: Action = { type: 'changePeers', voters, ...guard };
        await this.#ask(`changePeers ${voters.join(',')}`, judged, () => {
          group.changePeers(world.at(ip), voters, guard, world.nowMs);
        });
        await this.#committed(world.at(ip), guard.operationId, timeoutMs);
      },
      transferLeader: (peer) => {
        const to = this.#ordinalOf(peer);
        return this.#ask('transferLeader', undefined, () => {
          group.transfer(world.at(ip), to, world.taking());
        });
      },
      [Symbol.dispose]: () => undefined,
    };
  }

  #ask(call: string, judged: Judged, effect: () => void): Promise<void> {
    return this.#call(call, judged, async () => {
      // As over a network: the answer comes later.
      await Promise.resolve();
      try {
        effect();
      } catch (error) {
        throw error instanceof Refused ? refusal('EBUSY', error.message) : error;
      }
    });
  }

  /** Resolves when the leader has committed the operation. */
  async #committed(leader: Server, operationId: string, timeoutMs: number): Promise<void> {
    const { world } = this.#options;
    const end = world.nowMs + timeoutMs;
    while (!isDone(leader, operationId)) {
      const over = leader.change === undefined && !isBegun(leader, operationId);
      if (over || !leader.leads) throw refusal('ECATCHUP', 'the change was given up');
      if (world.nowMs > end) throw refusal('ETIMEDOUT', 'no answer in time');
      await world.stepped();
      if (this.#isDead()) return never();
    }
  }

  #ordinalOf(peer: string): number {
    const ordinal = ordinalOfPeer(this.#options.cluster, peer);
    if (ordinal === undefined) throw new RangeError(`${peer} is no member of the cluster`);
    return ordinal;
  }
}

/** @throws RangeError for a change that is not guarded: the operator makes none. */
function guardOf({ fence, expectedConfigurationIndex, operationId }: ReplicaGuard): Guard {
  const missing = [fence, expectedConfigurationIndex, operationId].includes(undefined);
  if (missing) throw new RangeError('a change of the membership without a guard');
  return {
    fence: fence ?? 0,
    configurationIndex: expectedConfigurationIndex ?? 0,
    operationId: operationId ?? '',
  };
}

function isBegun({ disk }: Server, operationId: string): boolean {
  return disk.tail?.configuration.operations.includes(operationId) ?? false;
}

function isDone(server: Server, operationId: string): boolean {
  const { tail, knownCommit } = server.disk;
  const { index = Infinity, outgoing } = tail?.configuration ?? {};
  return isBegun(server, operationId) && index <= knownCommit && outgoing === undefined;
}

function replicasIn(type: 'createStatefulSet' | 'setReplicas', body: unknown): Judged {
  const { spec } = body as { readonly spec?: { readonly replicas?: number } };
  return spec?.replicas === undefined ? undefined : { type, replicas: spec.replicas };
}

/** What nobody will hear of any more. */
function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
