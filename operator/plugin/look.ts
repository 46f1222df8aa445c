import { atomicClusterSpecSchema, type AtomicClusterStatus } from '../api/atomic-cluster.ts';
import { conditionOf } from '../api/condition.ts';
import type { Plan } from '../cluster/action.ts';
import { factsSeen } from '../cluster/evidence.ts';
import type {
  AtomicClusterObject,
  ClaimObject,
  ClusterObjects,
  PodObject,
  StatefulSetObject,
  VolumeObject,
} from '../cluster/kubernetes-objects.ts';
import { observe, type Observation } from '../cluster/observe.ts';
import type { Observed } from '../cluster/observed.ts';
import { plan } from '../cluster/plan/plan.ts';
import { statusOf } from '../cluster/status.ts';
import type { KubernetesObject } from '../controller/kubernetes-object.ts';
import { imageName, serverImage, type ImageName } from '../resources/image.ts';
import { ANNOTATIONS, hostOf, LABELS, ordinalOf } from '../resources/names.ts';
import { CLAIMS, NODES, PODS, STATEFUL_SETS, VOLUMES } from '../resources/resource-types.ts';
import { podTemplate, templateHash } from '../resources/stateful-set.ts';
import { readPages, type Pages } from './page.ts';
import type { PluginPorts, PodKey } from './ports.ts';
import { Rights, type Right } from './rights.ts';
import { seenReplicas } from './seen-group.ts';

/** What the operator would see and decide, as far as the person's rights reach. */
export type Look = {
  readonly cluster: AtomicClusterObject;
  readonly observed: Observed;
  readonly plan: Plan;
  /** By what is seen; where that is not whole, what the operator has noted. */
  readonly status: Omit<AtomicClusterStatus, 'conditions'>;
  readonly pages: Pages;
  /** Whether everything in Kubernetes could be read that a plan is made from. */
  readonly isWhole: boolean;
  readonly missingRights: readonly Right[];
};

/** A cluster as it would be after somebody has changed its spec. */
export type Goal = {
  readonly replicas?: number | undefined;
  readonly version?: string | undefined;
};

/** Looks at one cluster. `volumes`: also whether the nodes of its volumes exist. */
export async function lookAt(
  cluster: AtomicClusterObject,
  ports: PluginPorts,
  { volumes = false, goal = {} }: { readonly volumes?: boolean; readonly goal?: Goal } = {},
): Promise<Look> {
  const rights = new Rights();
  const { namespace = '' } = cluster.metadata;
  const objects = await readObjects(cluster, ports, { rights, volumes });
  const isWhole = rights.missing.every(({ namespace: where }) => where === undefined);
  const pages = await readPages(runningPods(objects, namespace), ports, rights);
  const wanted = { ...objects, cluster: withGoal(cluster, goal) };
  using replicas = seenReplicas(cluster, objects.pods, pages.read);
  const observation = await observe(wanted, {
    ...{ replicas, fence: 0, monitored: undefined, now: ports.clock.wallTime() },
    growthRefused: () => growthRefusal(cluster),
    image: (spec, status) => serverImage(spec, status, liveImage(objects.statefulSet)),
  });
  const seen = { ...observation, templateHash: wantedTemplate(observation, cluster, objects) };
  const observed = { ...seen, facts: justSeen(seen) };
  const next = plan(observed);
  const status = isWhole ? statusOf(observed, next) : (cluster.status ?? {});
  const { missing: missingRights } = rights;
  return { cluster, observed, plan: next, status, pages, isWhole, missingRights };
}

function justSeen(observed: Omit<Observed, 'facts'>): Observed['facts'] {
  return new Map([...factsSeen(observed)].map((fact) => [fact, { heldMs: 0, passes: 1 }]));
}

function withGoal(cluster: AtomicClusterObject, { replicas, version }: Goal): AtomicClusterObject {
  const change = { ...(replicas !== undefined && { replicas }), ...(version && { version }) };
  return { ...cluster, spec: { ...cluster.spec, ...change } };
}

async function readObjects(
  cluster: AtomicClusterObject,
  { api }: PluginPorts,
  { rights, volumes }: { readonly rights: Rights; readonly volumes: boolean },
): Promise<ClusterObjects> {
  const { name, namespace = '' } = cluster.metadata;
  const where = { namespace, labelSelector: `${LABELS.cluster}=${name}` };
  const right = (verb: string, resource: string): Right => ({ verb, resource, namespace });
  const [statefulSet, pods, claims] = await Promise.all([
    rights.attempt(right('get', 'statefulsets.apps'), () =>
      api.get<StatefulSetObject>(STATEFUL_SETS, { namespace, name }),
    ),
    rights.attempt(right('list', 'pods'), () => api.list<PodObject>(PODS, where)),
    rights.attempt(right('list', 'persistentvolumeclaims'), () =>
      api.list<ClaimObject>(CLAIMS, where),
    ),
  ]);
  const found = {
    ...{ cluster, statefulSet },
    pods: (pods?.items ?? []).filter(({ metadata }) => metadata.name.startsWith(`${name}-`)),
    claims: claims?.items ?? [],
  };
  const lookup = volumes ? await readVolumes(found.claims, api, rights) : undefined;
  return { ...found, volumes: lookup?.volumes, nodes: lookup?.nodes };
}

/** Undefined where the person may not look: then nobody knows whether a node is gone. */
async function readVolumes(
  claims: readonly ClaimObject[],
  api: PluginPorts['api'],
  rights: Rights,
): Promise<Pick<ClusterObjects, 'volumes' | 'nodes'> | undefined> {
  const nodes = await rights.attempt({ verb: 'list', resource: 'nodes' }, () => api.list(NODES));
  const volumes = await rights.attempt({ verb: 'get', resource: 'persistentvolumes' }, () =>
    Promise.all(
      claims.flatMap(({ spec }) => {
        const name = spec?.volumeName;
        return name === undefined ? [] : [api.get<VolumeObject>(VOLUMES, { name })];
      }),
    ),
  );
  if (nodes === undefined || volumes === undefined) return undefined;
  const hosts = nodes.items.map(({ metadata }: KubernetesObject) => hostOf(metadata));
  const known = volumes.flatMap((volume) =>
    volume === undefined ? [] : [[volume.metadata.name, volume] as const],
  );
  return { nodes: new Set(hosts), volumes: new Map(known) };
}

function runningPods({ cluster, pods }: ClusterObjects, namespace: string) {
  const running = pods.filter(({ status }) => status?.phase === 'Running');
  return new Map<number, PodKey>(
    running.flatMap(({ metadata: { name } }) => {
      const ordinal = ordinalOf(cluster.metadata.name, name);
      return ordinal === undefined ? [] : [[ordinal, { namespace, name }] as const];
    }),
  );
}

function growthRefusal({ status }: AtomicClusterObject): string | undefined {
  return status?.conditions?.find(({ reason }) => reason === 'GrowthRefused')?.message;
}

type WithImage = StatefulSetObject & {
  readonly spec?: {
    readonly template?: {
      readonly spec?: { readonly containers?: readonly { readonly image?: string }[] };
    };
  };
};

/** Where the spec names no image it is the operator's, which the StatefulSet has. */
function liveImage(statefulSet: WithImage | undefined): ImageName {
  return imageName(statefulSet?.spec?.template?.spec?.containers?.[0]?.image ?? '');
}

/**
 * The template that the operator would want. It may build templates otherwise than this program: a
 * goal that changes nothing about the pods changes nothing about their template either.
 */
function wantedTemplate(
  { namespace, name, templateHash: wanted }: Observation,
  cluster: AtomicClusterObject,
  { statefulSet }: ClusterObjects,
): string {
  const { spec: input = {}, status = {} } = cluster;
  const spec = atomicClusterSpecSchema.parse(input);
  const image = serverImage(spec, status, liveImage(statefulSet));
  if (wanted !== templateHash(podTemplate({ namespace, name, spec, image }))) return wanted;
  return toldTemplate(cluster, statefulSet) ?? wanted;
}

/** The hash that the operator goes by, if what it has told of the pods is still about this spec. */
function toldTemplate(
  { metadata, status = {} }: AtomicClusterObject,
  statefulSet: StatefulSetObject | undefined,
): string | undefined {
  const told = conditionOf(status, 'MembersUpToDate');
  if (told?.observedGeneration !== metadata.generation) return undefined;
  if (told?.reason === 'RolledBack') return status.failedTemplate;
  return told?.reason === 'UpToDate'
    ? statefulSet?.metadata.annotations?.[ANNOTATIONS.template]
    : undefined;
}
