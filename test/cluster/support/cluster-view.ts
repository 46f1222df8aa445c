import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import type {
  AtomicClusterObject,
  ClaimObject,
  PodObject,
  StatefulSetObject,
} from '../../../operator/cluster/kubernetes-objects.ts';
import type { KubernetesApi } from '../../../operator/controller/api-client.ts';
import type { Clock } from '../../../operator/controller/clock.ts';
import type {
  KubernetesObject,
  ResourceType,
} from '../../../operator/controller/kubernetes-object.ts';
import { silentLogger } from '../../../operator/controller/logger.ts';
import { ObjectStore } from '../../../operator/controller/object-store.ts';
import { Reflector } from '../../../operator/controller/reflector.ts';
import { CLAIMS, PODS, STATEFUL_SETS } from '../../../operator/resources/resource-types.ts';

function byNamespace<T extends KubernetesObject>(): ObjectStore<T> {
  return new ObjectStore<T>({ namespace: ({ metadata }) => [metadata.namespace ?? ''] });
}

/** What the API server has, in all namespaces, for those who play and who judge. */
export class ClusterView {
  readonly clusters = byNamespace<AtomicClusterObject>();
  readonly sets = byNamespace<StatefulSetObject>();
  readonly pods = byNamespace<PodObject>();
  readonly claims = byNamespace<ClaimObject>();
  readonly #api: KubernetesApi;
  readonly #clock: Clock;

  constructor(api: KubernetesApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Follows the API server until `signal` fires; resolves when it has seen everything once. */
  async follow(signal: AbortSignal): Promise<void> {
    const reflectors = [
      this.#reflector(ATOMIC_CLUSTER, this.clusters),
      this.#reflector(STATEFUL_SETS, this.sets),
      this.#reflector(PODS, this.pods),
      this.#reflector(CLAIMS, this.claims),
    ];
    for (const reflector of reflectors) void reflector.run(signal);
    await Promise.all(reflectors.map(({ synced }) => synced));
  }

  #reflector<T extends KubernetesObject>(type: ResourceType, store: ObjectStore<T>): Reflector<T> {
    const [api, clock] = [this.#api, this.#clock];
    return new Reflector({ api, type, store, clock, random: Math.random, logger: silentLogger });
  }
}
