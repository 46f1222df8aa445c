import type { ObjectMeta } from '../controller/kubernetes-object.ts';

/** The one Raft group of a cluster. */
export const GROUP = 'Atomic';

/** Ports of every pod: counters, peers and administration; status page and metrics; probes. */
export const PORTS = { grpc: 8100, http: 8200, health: 8300 } as const;

export const OPERATOR = 'atomicraft-operator';

export const LABELS = {
  /** Kubernetes' own: who makes and changes an object. */
  managedBy: 'app.kubernetes.io/managed-by',
  cluster: 'atomicraft.dev/cluster',
  /** leader or follower: what a pod was last seen to be. */
  role: 'atomicraft.dev/role',
  /** "true" on pods that are voters: what the disruption budget counts. */
  voter: 'atomicraft.dev/voter',
} as const;

/** Kubernetes' own: what volumes and spread constraints call a node. */
export const HOST_LABEL = 'kubernetes.io/hostname';

/** What volumes call a node: a label, which need not be its name. */
export function hostOf({ name, labels }: Pick<ObjectMeta, 'name' | 'labels'>): string {
  return labels?.[HOST_LABEL] ?? name;
}

export const ANNOTATIONS = {
  /** On the StatefulSet: hash of the pod template that was applied. */
  template: 'atomicraft.dev/template',
  /** On volumes: the cluster whose data they hold. */
  clusterId: 'atomicraft.dev/cluster-id',
  /** On volumes of members that were scaled away: since when. */
  quarantinedAt: 'atomicraft.dev/quarantined-at',
  /** On an AtomicCluster, by a person: take over retained volumes of this cluster. */
  adoptClusterId: 'atomicraft.dev/adopt-cluster-id',
} as const;

/** What names everything that belongs to one cluster. */
export type ClusterName = { readonly namespace: string; readonly name: string };

export const peerServiceName = (name: string): string => `${name}-peer`;
export const leaderServiceName = (name: string): string => `${name}-leader`;
export const readServiceName = (name: string): string => `${name}-read`;
export const authSecretName = (name: string): string => `${name}-auth`;
export const podName = (name: string, ordinal: number): string => `${name}-${String(ordinal)}`;
export const claimName = (name: string, ordinal: number): string =>
  `data-${name}-${String(ordinal)}`;

/** Labels that select the pods of a cluster; they never change. */
export function selectorLabels(name: string): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/name': 'atomicraft',
    'app.kubernetes.io/instance': name,
    [LABELS.cluster]: name,
  };
}

/** Labels of everything that belongs to a cluster. */
export function commonLabels(name: string): Readonly<Record<string, string>> {
  return {
    ...selectorLabels(name),
    'app.kubernetes.io/component': 'server',
    'app.kubernetes.io/part-of': 'atomicraft',
    [LABELS.managedBy]: OPERATOR,
  };
}

/** The Service of one member, whose address outlives its pods; it has their name. */
export function memberServiceName(name: string, ordinal: number): string {
  return podName(name, ordinal);
}

/**
 * Where the member of an ordinal is reached: `host:port`. The host is a Service of its own: the name
 * of a pod leads to where the pod was before for as long as name servers remember.
 */
export function peerAddress({ namespace, name }: ClusterName, ordinal: number): string {
  return `${memberServiceName(name, ordinal)}.${namespace}.svc:${String(PORTS.grpc)}`;
}

/** The peer id of an ordinal, in the form that servers report. */
export function peerId(cluster: ClusterName, ordinal: number): string {
  return `${peerAddress(cluster, ordinal)}:0:0`;
}

/** The ordinal of a pod or claim name, or undefined when it is none of this cluster. */
export function ordinalOf(prefix: string, text: string): number | undefined {
  if (!text.startsWith(`${prefix}-`)) return undefined;
  const digits = text.slice(prefix.length + 1);
  return /^(0|[1-9]\d{0,5})$/.test(digits) ? Number(digits) : undefined;
}

/** The ordinal of a peer id, or undefined when no pod of this cluster has it. */
export function ordinalOfPeer(cluster: ClusterName, peer: string): number | undefined {
  const [host = '', port] = peer.split(':');
  const [pod = ''] = host.split('.');
  const ordinal = ordinalOf(cluster.name, pod);
  const expected = ordinal === undefined ? undefined : peerAddress(cluster, ordinal);
  return expected === `${host}:${port ?? ''}` ? ordinal : undefined;
}
