import { bytesOf } from '../api/quantity.ts';
import { ANNOTATIONS, HOST_LABEL, ordinalOf } from '../resources/names.ts';
import type {
  ClaimObject,
  ClusterObjects,
  ContainerStatus,
  HostNames,
  PodObject,
  StatefulSetObject,
  VolumeObject,
} from './kubernetes-objects.ts';
import type { ClaimView, PodView, StatefulSetView } from './observed.ts';

/** A node may take so long to say that a pod has ended. */
const END_MARGIN_MS = 30_000;
const NEVER_ENDS =
  'it should have ended long ago: wait for its node; if the node is off for good, delete the Node, or taint it node.kubernetes.io/out-of-service=nodeshutdown:NoExecute';

/** Waiting for these passes by itself. */
const NORMAL_WAITS = new Set(['ContainerCreating', 'PodInitializing']);

export function statefulSetView(
  object: StatefulSetObject | undefined,
): StatefulSetView | undefined {
  if (object === undefined) return undefined;
  const { metadata, spec, status } = object;
  // What an older generation led to says nothing about the template that was just applied.
  const current = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  return {
    uid: metadata.uid ?? '',
    replicas: spec?.replicas ?? 1,
    templateHash: metadata.annotations?.[ANNOTATIONS.template] ?? '',
    updateRevision: current ? status?.updateRevision : undefined,
    claimSize: claimSizeOf(object),
    deleting: metadata.deletionTimestamp !== undefined,
  };
}

function claimSizeOf({ spec }: StatefulSetObject): string | undefined {
  return sizeOf(spec?.volumeClaimTemplates?.[0]);
}

/** A pod without what only its server can say; undefined for pods that are no member's. */
export function podView(
  name: string,
  pod: PodObject,
  now: Date,
): Omit<PodView, 'report'> | undefined {
  const { metadata, spec } = pod;
  const ordinal = ordinalOf(name, metadata.name);
  if (ordinal === undefined) return undefined;
  return {
    ordinal,
    uid: metadata.uid ?? '',
    revision: metadata.labels?.['controller-revision-hash'] ?? '',
    ready: isTrue(pod, 'Ready'),
    deleting: metadata.deletionTimestamp !== undefined,
    node: spec?.nodeName,
    trouble: troubleOf(pod, now),
  };
}

export function claimView(objects: ClusterObjects, claim: ClaimObject): ClaimView | undefined {
  const { metadata, status } = claim;
  const ordinal = ordinalOf(`data-${objects.cluster.metadata.name}`, metadata.name);
  if (ordinal === undefined) return undefined;
  return {
    ordinal,
    uid: metadata.uid ?? '',
    bound: status?.phase === 'Bound',
    deleting: metadata.deletionTimestamp !== undefined,
    clusterId: metadata.annotations?.[ANNOTATIONS.clusterId],
    quarantinedAt: metadata.annotations?.[ANNOTATIONS.quarantinedAt],
    lost: isLost(objects, claim),
    ...sizesOf(claim),
  };
}

function isTrue({ status }: PodObject, type: string): boolean {
  return status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;
}

/** Why a pod does not run, in the words of the scheduler or of the node; or why it does not end. */
function troubleOf(pod: PodObject, now: Date): string | undefined {
  const { conditions, containerStatuses } = pod.status ?? {};
  const { deletionTimestamp } = pod.metadata;
  // The time that it names is the end of what the pod was given.
  if (deletionTimestamp !== undefined) {
    const lateMs = now.getTime() - Date.parse(deletionTimestamp);
    return lateMs < END_MARGIN_MS ? undefined : NEVER_ENDS;
  }
  const scheduled = conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    return `it cannot be scheduled: ${scheduled.message ?? 'no reason given'}`;
  }
  return waitOf(containerStatuses?.[0]);
}

function waitOf(container: ContainerStatus | undefined): string | undefined {
  const { reason, message } = container?.state?.waiting ?? {};
  if (reason === undefined || NORMAL_WAITS.has(reason)) return undefined;
  return message === undefined ? reason : `${reason}: ${message}`;
}

function sizesOf(
  claim: ClaimObject,
): Pick<ClaimView, 'requestedBytes' | 'capacityBytes' | 'growth'> {
  return {
    requestedBytes: bytesOf(sizeOf(claim)),
    capacityBytes: bytesOf(claim.status?.capacity?.storage),
    growth: growthOf(claim),
  };
}

function sizeOf(claim: Pick<ClaimObject, 'spec'> | undefined): string | undefined {
  return claim?.spec?.resources?.requests?.storage;
}

/** What a claim says of its growth, that which a person may have to mend first. */
const GROWTH_CONDITIONS = {
  ControllerResizeError: 'the storage driver cannot grow it',
  NodeResizeError: 'its node cannot grow its file system',
  FileSystemResizePending:
    'its volume has grown, its file system grows when its pod starts or while it runs',
  Resizing: 'the storage driver is growing it',
} as const;

function growthOf({ status }: ClaimObject): string | undefined {
  for (const [type, text] of Object.entries(GROWTH_CONDITIONS)) {
    const found = status?.conditions?.find((one) => one.type === type);
    const { message = '' } = found ?? {};
    if (found !== undefined) return message === '' ? text : `${text}: ${message}`;
  }
  return undefined;
}

function isLost({ volumes, nodes }: ClusterObjects, { spec, status }: ClaimObject): boolean {
  if (status?.phase === 'Lost') return true;
  const volume = volumes?.get(spec?.volumeName ?? '');
  return volume !== undefined && nodes !== undefined && isOnLostNode(volume, nodes);
}

/** A volume that only some nodes can use, none of which exists. */
function isOnLostNode({ spec }: VolumeObject, nodes: HostNames): boolean {
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const hosts = terms.map(({ matchExpressions = [] }) =>
    matchExpressions.find(({ key, operator }) => key === HOST_LABEL && operator === 'In'),
  );
  return (
    hosts.length > 0 &&
    hosts.every((host) => host?.values !== undefined && !host.values.some((one) => nodes.has(one)))
  );
}
