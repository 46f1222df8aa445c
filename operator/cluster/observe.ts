import type { ReplicaStatus } from '../../client/index.ts';
import { atomicClusterSpecSchema } from '../api/atomic-cluster.ts';
import { ANNOTATIONS, ordinalOf, ordinalOfPeer, type ClusterName } from '../resources/names.ts';
import { podTemplate, templateHash, type PodTemplate } from '../resources/stateful-set.ts';
import { groupView, memberReport } from './group-view.ts';
import { claimView, podView, statefulSetView } from './kubernetes-view.ts';
import type { ClusterObjects } from './kubernetes-objects.ts';
import type { Observed, PodView } from './observed.ts';
import type { Replicas } from './replicas.ts';

/** What a pass knows beside what the plan is made from. */
export type Observation = Omit<Observed, 'facts'> & {
  readonly template: PodTemplate;
  /** Addresses of pods that may be called, by ordinal. */
  readonly addresses: ReadonlyMap<number, string>;
};

/** Looks at everything of one cluster: Kubernetes from `objects`, the group from its servers. */
export async function observe(
  objects: ClusterObjects,
  {
    replicas,
    fence,
    growthRefused,
    monitored,
    image,
    now,
  }: {
    readonly replicas: Replicas;
    readonly fence: number | undefined;
    readonly monitored: Observed['monitored'];
    readonly growthRefused: (size: string) => string | undefined;
    /** The image for a version and repository of the spec. */
    readonly image: (spec: Observed['spec'], status: Observed['status']) => string;
    readonly now: Date;
  },
): Promise<Observation> {
  const { cluster } = objects;
  const { name, namespace = '', annotations, deletionTimestamp, generation } = cluster.metadata;
  const spec = atomicClusterSpecSchema.parse(cluster.spec ?? {});
  const status = cluster.status ?? {};
  const template = podTemplate({ namespace, name, spec, image: image(spec, status) });
  const servers = await askServers(objects, replicas);
  return {
    ...{ namespace, name, spec, status, fence, template, monitored },
    growthRefused: growthRefused(spec.storage.size),
    generation: generation ?? 0,
    deleting: deletionTimestamp !== undefined,
    adoptClusterId: annotations?.[ANNOTATIONS.adoptClusterId],
    templateHash: templateHash(template),
    statefulSet: statefulSetView(objects.statefulSet),
    pods: podViews(objects, servers.statuses, now),
    claims: objects.claims
      .flatMap((claim) => claimView(objects, claim) ?? [])
      .sort((a, b) => a.ordinal - b.ordinal),
    group:
      servers.leader === undefined ? undefined : groupView({ namespace, name }, servers.leader),
    addresses: servers.addresses,
    now: now.toISOString(),
  };
}

type Servers = {
  readonly addresses: ReadonlyMap<number, string>;
  readonly statuses: ReadonlyMap<number, ReplicaStatus>;
  readonly leader: ReplicaStatus | undefined;
};

async function askServers({ cluster, pods }: ClusterObjects, replicas: Replicas): Promise<Servers> {
  const { namespace = '' } = cluster.metadata;
  const name: ClusterName = { namespace, name: cluster.metadata.name };
  const addresses = new Map<number, string>();
  for (const pod of pods) {
    const ordinal = ordinalOf(name.name, pod.metadata.name);
    const ip = pod.status?.podIP;
    const runs = pod.status?.phase === 'Running';
    if (ordinal !== undefined && ip !== undefined && runs) addresses.set(ordinal, ip);
  }
  replicas.keepOnly(new Set(addresses.values()));
  const statuses = new Map<number, ReplicaStatus>();
  await Promise.all(
    [...addresses].map(async ([ordinal, ip]) => {
      const status = await replicas.status(ip);
      // A pod's address may be another's by now.
      const isMember = status !== undefined && ordinalOfPeer(name, status.peerId) === ordinal;
      if (isMember) statuses.set(ordinal, status);
    }),
  );
  return { addresses, statuses, leader: await confirmedLeader(statuses, addresses, replicas) };
}

/** The word of the leader with the highest term, if a quorum stands behind it. */
async function confirmedLeader(
  statuses: ReadonlyMap<number, ReplicaStatus>,
  addresses: ReadonlyMap<number, string>,
  replicas: Replicas,
): Promise<ReplicaStatus | undefined> {
  const leaders = [...statuses].filter(([, { state }]) => state === 'LEADER');
  leaders.sort(([, a], [, b]) => b.term - a.term);
  const [first] = leaders;
  const ip = first === undefined ? undefined : addresses.get(first[0]);
  if (first === undefined || ip === undefined) return undefined;
  const confirmed = await replicas.confirmed(ip);
  return confirmed?.peerId === first[1].peerId ? confirmed : undefined;
}

function podViews(
  { cluster, pods }: ClusterObjects,
  statuses: ReadonlyMap<number, ReplicaStatus>,
  now: Date,
): readonly PodView[] {
  const { name, namespace = '' } = cluster.metadata;
  const clusterName: ClusterName = { namespace, name };
  return pods
    .flatMap((pod) => podView(name, pod, now) ?? [])
    .map((view) => {
      const status = statuses.get(view.ordinal);
      return { ...view, report: status && memberReport(clusterName, status) };
    })
    .sort((a, b) => a.ordinal - b.ordinal);
}
