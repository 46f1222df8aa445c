import type { KubernetesApi } from '../controller/api-client.ts';
import { ApiError } from '../controller/api-error.ts';
import {
  keyText,
  type KubernetesObject,
  type OwnerReference,
  type ResourceType,
} from '../controller/kubernetes-object.ts';
import { commonLabels, LABELS, OPERATOR } from '../resources/names.ts';
import { isContained, type WantedObject } from './upkeep.ts';

/** No object has it: an apply with this version creates an object, or is a conflict. */
const NO_VERSION = '1';

/** What writing the objects of one cluster needs. */
export type OwnerTools = { readonly api: KubernetesApi; readonly owner: OwnerReference };

/**
 * Whose an object is, as Kubernetes' own controllers have it: that of its controller. One without a
 * controller may be taken over if it carries the cluster's labels, as what was left behind by
 * `kubectl delete --cascade=orphan` does.
 */
export type Standing = 'ours' | 'adoptable' | 'leaving' | 'foreign';

export function standingOf(object: KubernetesObject, owner: OwnerReference): Standing {
  if (object.metadata.deletionTimestamp !== undefined || isOfFormer(object, owner))
    return 'leaving';
  const controller = controllerOf(object);
  if (controller === undefined) return hasLabels(object, owner.name) ? 'adoptable' : 'foreign';
  return controller.uid === owner.uid ? 'ours' : 'foreign';
}

/** Kubernetes has yet to collect what a deleted cluster of this name has left. */
export function isOfFormer(object: KubernetesObject, owner: OwnerReference): boolean {
  const controller = controllerOf(object);
  if (controller === undefined || controller.uid === owner.uid) return false;
  return controller.kind === owner.kind && controller.name === owner.name;
}

export function controllerOf({ metadata }: KubernetesObject): OwnerReference | undefined {
  return metadata.ownerReferences?.find((one) => one.controller === true);
}

export function isControlledBy(object: KubernetesObject | undefined, uid: string): boolean {
  return object !== undefined && controllerOf(object)?.uid === uid;
}

/** An object of somebody else has a name that the cluster needs. */
export class ForeignObject extends Error {
  override readonly name = 'ForeignObject';

  constructor({ kind }: ResourceType, object: KubernetesObject) {
    const controller = controllerOf(object);
    const whose =
      controller === undefined
        ? 'nothing controls it, and it lacks the labels of this cluster'
        : `${controller.kind} ${controller.name} controls it`;
    const advice = 'delete or rename it, or give the AtomicCluster another name';
    super(
      `${kind} ${keyText(object.metadata)} is somebody else's: ${whose}; it is left alone: ${advice}`,
    );
  }
}

/** An object is about to go by itself; another one takes its place then. */
export class LeavingObject extends Error {
  override readonly name = 'LeavingObject';

  constructor({ kind }: ResourceType, { metadata }: KubernetesObject) {
    super(`waiting for the end of a former ${kind} ${keyText(metadata)}`);
  }
}

/** @throws ForeignObject, LeavingObject unless the cluster may write to it. */
function mustBeWritable(type: ResourceType, object: KubernetesObject, owner: OwnerReference): void {
  const standing = standingOf(object, owner);
  if (standing === 'foreign') throw new ForeignObject(type, object);
  if (standing === 'leaving') throw new LeavingObject(type, object);
}

/** Whether nothing is to be written: it is ours, and as it should be. */
export function isKept(
  { object }: WantedObject,
  live: KubernetesObject | undefined,
  owner: OwnerReference,
): boolean {
  if (live === undefined || standingOf(live, owner) !== 'ours') return false;
  // It may have further owners.
  const { ownerReferences = [] } = live.metadata;
  return isContained({ ...object, metadata: { ...object.metadata, ownerReferences } }, live);
}

/**
 * Creates an object, or makes it what it should be if it is this cluster's. `seen`: as a cache has
 * it, which knows only objects with the label of this operator.
 *
 * @throws ForeignObject, LeavingObject, ApiError; a conflict when it is not as it was seen.
 */
export async function keepObject(
  wanted: WantedObject,
  seen: KubernetesObject | undefined,
  tools: OwnerTools,
): Promise<void> {
  const { type, object } = wanted;
  if (seen === undefined && (await create(wanted, tools))) return;
  const live = seen ?? (await tools.api.get(type, object.metadata));
  if (live === undefined || isKept(wanted, live, tools.owner)) return;
  mustBeWritable(type, live, tools.owner);
  const { uid = '', resourceVersion = '' } = live.metadata;
  const metadata = { ...object.metadata, uid, resourceVersion };
  await tools.api.apply(type, { ...object, metadata }, { fieldManager: OPERATOR });
}

/** By the same kind of write as all later ones, which can then take back every field of it. */
async function create({ type, object }: WantedObject, { api }: OwnerTools): Promise<boolean> {
  const metadata = { ...object.metadata, resourceVersion: NO_VERSION };
  try {
    await api.apply(type, { ...object, metadata }, { fieldManager: OPERATOR });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.isConflict) return false;
    throw error;
  }
}

/**
 * Gives an object the owner and the labels of this cluster, and leaves the rest of it.
 *
 * @throws ForeignObject, LeavingObject, ApiError; a conflict when it is not as it was seen.
 */
export async function takeOver(
  type: ResourceType,
  object: KubernetesObject,
  { api, owner }: OwnerTools,
): Promise<void> {
  mustBeWritable(type, object, owner);
  const { uid, resourceVersion, ownerReferences = [] } = object.metadata;
  const others = ownerReferences.filter((one) => one.uid !== owner.uid);
  const labels = commonLabels(owner.name);
  const metadata = { uid, resourceVersion, labels, ownerReferences: [...others, owner] };
  await api.patch(type, object.metadata, { body: { metadata }, fieldManager: OPERATOR });
}

/** Whether an object carries the labels that say whose it is, by which the caches find it too. */
export function hasLabels({ metadata }: KubernetesObject, cluster: string): boolean {
  const { labels = {} } = metadata;
  return labels[LABELS.managedBy] === OPERATOR && labels[LABELS.cluster] === cluster;
}
