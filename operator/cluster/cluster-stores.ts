import {
  keyText,
  type KubernetesObject,
  type ResourceType,
} from '../controller/kubernetes-object.ts';
import { ObjectStore } from '../controller/object-store.ts';
import { hostOf, LABELS, podName } from '../resources/names.ts';
import {
  CLAIMS,
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
  NODES,
  PODS,
  SERVICE_ACCOUNTS,
  SERVICES,
  STATEFUL_SETS,
  VOLUMES,
} from '../resources/resource-types.ts';
import type {
  AtomicClusterObject,
  ClaimObject,
  ClusterObjects,
  HostNames,
  PodObject,
  StatefulSetObject,
  VolumeObject,
} from './kubernetes-objects.ts';

const BY_CLUSTER = 'cluster';
const BY_HOST = 'host';

/** `namespace/name` of the cluster that an object is labelled with. */
export function clusterKeyOf({ metadata }: KubernetesObject): string | undefined {
  const name = metadata.labels?.[LABELS.cluster];
  return name === undefined ? undefined : keyText({ ...metadata, name });
}

function byCluster<T extends KubernetesObject>(): ObjectStore<T> {
  const index = (object: T): readonly string[] => {
    const key = clusterKeyOf(object);
    return key === undefined ? [] : [key];
  };
  return new ObjectStore<T>({ [BY_CLUSTER]: index });
}

function hostsOf({ metadata }: KubernetesObject): readonly string[] {
  return [hostOf(metadata)];
}

function hostNames(nodes: ObjectStore<KubernetesObject>): HostNames {
  return { has: (host) => nodes.byIndex(BY_HOST, host).length > 0 };
}

/** What the operator knows of Kubernetes; reflectors keep it up to date. */
export class ClusterStores {
  readonly clusters = new ObjectStore<AtomicClusterObject>();
  readonly statefulSets = byCluster<StatefulSetObject>();
  readonly pods = byCluster<PodObject>();
  readonly claims = byCluster<ClaimObject>();
  /** Undefined where the operator may not look: an installation in one namespace. */
  readonly nodes: ObjectStore<KubernetesObject> | undefined;
  readonly volumes: ObjectStore<VolumeObject> | undefined;
  /** The kinds that only follow from a spec, by plural. */
  readonly others: ReadonlyMap<string, ObjectStore<KubernetesObject>>;

  constructor({ clusterWide }: { readonly clusterWide: boolean }) {
    this.nodes = clusterWide ? new ObjectStore({ [BY_HOST]: hostsOf }) : undefined;
    this.volumes = clusterWide ? new ObjectStore() : undefined;
    this.others = new Map(FOLLOWING.map(({ plural }) => [plural, byCluster()]));
  }

  /** The namespaced kinds that belong to clusters, each with its store. */
  owned(): readonly {
    readonly type: ResourceType;
    readonly store: ObjectStore<KubernetesObject>;
  }[] {
    return [
      { type: STATEFUL_SETS, store: this.statefulSets },
      { type: PODS, store: this.pods },
      { type: CLAIMS, store: this.claims },
      ...FOLLOWING.flatMap((type) => {
        const store = this.others.get(type.plural);
        return store === undefined ? [] : [{ type, store }];
      }),
    ];
  }

  /** The kinds without namespace, where the operator may look. */
  clusterWide(): readonly {
    readonly type: ResourceType;
    readonly store: ObjectStore<KubernetesObject>;
  }[] {
    return [
      ...(this.nodes === undefined ? [] : [{ type: NODES, store: this.nodes }]),
      ...(this.volumes === undefined
        ? []
        : [{ type: VOLUMES, store: this.volumes as ObjectStore<KubernetesObject> }]),
    ];
  }

  /** Everything of one cluster. */
  objectsOf(cluster: AtomicClusterObject): ClusterObjects {
    const key = keyText(cluster.metadata);
    const { name } = cluster.metadata;
    return {
      cluster,
      statefulSet: this.statefulSets.get(key),
      // A pod of a StatefulSet that was replaced keeps its name and labels.
      pods: this.pods
        .byIndex(BY_CLUSTER, key)
        .filter(({ metadata }) => metadata.name.startsWith(podName(name, 0).slice(0, -1))),
      claims: this.claims.byIndex(BY_CLUSTER, key),
      nodes: this.nodes && hostNames(this.nodes),
      volumes: this.volumes,
    };
  }

  /** The objects of one cluster that only follow from its spec. */
  followingOf(cluster: AtomicClusterObject): readonly {
    readonly type: ResourceType;
    readonly object: KubernetesObject;
  }[] {
    const key = keyText(cluster.metadata);
    return FOLLOWING.flatMap((type) =>
      (this.others.get(type.plural)?.byIndex(BY_CLUSTER, key) ?? []).map((object) => ({
        ...{ type, object },
      })),
    );
  }
}

const FOLLOWING: readonly ResourceType[] = [
  SERVICES,
  SERVICE_ACCOUNTS,
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
];
