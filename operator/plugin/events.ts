import type { KubernetesObject } from '../controller/kubernetes-object.ts';
import { EVENTS, type EventObject } from '../controller/event-recorder.ts';
import { ordinalOf } from '../resources/names.ts';
import type { PluginPorts } from './ports.ts';
import type { Rights } from './rights.ts';

const SHOWN_MAX = 10;

/** Something that was told of the cluster, or of a pod or volume of it. */
export type Told = {
  readonly atMs: number;
  readonly type: string;
  readonly reason: string;
  readonly object: string;
  readonly note: string;
  readonly count: number;
};

/** As the operator writes them, and as older components of Kubernetes do. */
type AnyEvent = KubernetesObject &
  Partial<Pick<EventObject, 'type' | 'reason' | 'note' | 'regarding' | 'series'>> & {
    /** Null in those that have the older fields. */
    readonly eventTime?: string | null;
    readonly deprecatedLastTimestamp?: string;
    readonly deprecatedCount?: number;
  };

/** The last events of a cluster, and the warnings about its pods and volumes; newest last. */
export async function eventsOf(
  { metadata }: KubernetesObject,
  { api }: Pick<PluginPorts, 'api'>,
  rights: Rights,
): Promise<readonly Told[]> {
  const { name, namespace } = metadata;
  const right = { verb: 'list', resource: 'events.events.k8s.io', namespace };
  const found = await rights.attempt(right, () => api.list<AnyEvent>(EVENTS, { namespace }));
  return (found?.items ?? [])
    .filter((event) => isAbout(event, name))
    .map(toldOf)
    .sort((a, b) => a.atMs - b.atMs)
    .slice(-SHOWN_MAX);
}

function isAbout({ regarding, type }: AnyEvent, cluster: string): boolean {
  const { kind, name = '' } = regarding ?? {};
  if (kind === 'AtomicCluster') return name === cluster;
  const isOurs =
    (kind === 'Pod' && ordinalOf(cluster, name) !== undefined) ||
    (kind === 'PersistentVolumeClaim' && ordinalOf(`data-${cluster}`, name) !== undefined) ||
    (kind === 'StatefulSet' && name === cluster);
  return isOurs && type === 'Warning';
}

function toldOf(event: AnyEvent): Told {
  const { type = '', reason = '', note = '', regarding, series, deprecatedCount = 1 } = event;
  const count = series?.count ?? deprecatedCount;
  return { atMs: timeOf(event), type, reason, note, count, object: regarding?.name ?? '' };
}

function timeOf({ metadata, series, eventTime, deprecatedLastTimestamp }: AnyEvent): number {
  const last = series?.lastObservedTime ?? deprecatedLastTimestamp ?? eventTime;
  return Date.parse(last ?? metadata.creationTimestamp ?? '') || 0;
}
