import { ApiError } from '../controller/api-error.ts';
import {
  keyText,
  type KubernetesObject,
  type ResourceType,
} from '../controller/kubernetes-object.ts';
import { ANNOTATIONS, claimName, podName } from '../resources/names.ts';
import { CLAIMS, PODS, STATEFUL_SETS } from '../resources/resource-types.ts';
import type { Attempts } from './attempts.ts';
import type { ClusterStores } from './cluster-stores.ts';
import type { ClusterObjects } from './kubernetes-objects.ts';
import type { Observed } from './observed.ts';
import {
  controllerOf,
  isControlledBy,
  isKept,
  keepObject,
  takeOver,
  type OwnerTools,
} from './ownership.ts';
import { isForeignClaim } from './plan/membership.ts';
import { wantedObjects, wantedPodLabels, type WantedObject } from './upkeep.ts';

export type MaintenanceTools = OwnerTools & {
  readonly stores: ClusterStores;
  readonly objects: ClusterObjects;
  /** Takes what is refused. */
  readonly attempts: Attempts;
};

/**
 * Brings what follows from spec and group into agreement with them: Services, the disruption
 * budget, labels of pods, marks and owners of volumes. Writes only what differs, and one whatever
 * becomes of another.
 *
 * @throws ApiError when the API server is not there.
 */
export async function maintain(observed: Observed, tools: MaintenanceTools): Promise<void> {
  const wanted = wantedObjects(observed, tools.owner);
  await keepStatefulSet(tools);
  await keepWanted(wanted, tools);
  await removeUnwanted(wanted, tools);
  await labelPods(observed, tools);
  await markClaims(observed, tools);
}

/** One that a former cluster left behind, with its pods, is this cluster's from now on. */
async function keepStatefulSet(tools: MaintenanceTools): Promise<void> {
  const { objects, owner, attempts } = tools;
  const { statefulSet } = objects;
  if (statefulSet === undefined || isControlledBy(statefulSet, owner.uid)) return;
  const what = nameOf(STATEFUL_SETS, statefulSet);
  await attempts.write(what, () => takeOver(STATEFUL_SETS, statefulSet, tools));
}

async function keepWanted(wanted: readonly WantedObject[], tools: MaintenanceTools): Promise<void> {
  const { stores, owner, attempts } = tools;
  for (const one of wanted) {
    const { type, object } = one;
    const seen = stores.others.get(type.plural)?.get(keyText(object.metadata));
    if (isKept(one, seen, owner)) continue;
    await attempts.write(nameOf(type, object), () => keepObject(one, seen, tools));
  }
}

/** A setting turned them off, or their member is gone. */
async function removeUnwanted(
  wanted: readonly WantedObject[],
  { api, stores, objects, owner, attempts }: MaintenanceTools,
): Promise<void> {
  for (const { type, object } of stores.followingOf(objects.cluster)) {
    const isWanted = wanted.some(
      (one) => one.type === type && one.object.metadata.name === object.metadata.name,
    );
    const { uid = '', deletionTimestamp } = object.metadata;
    const ends = deletionTimestamp !== undefined;
    if (isWanted || ends || !isControlledBy(object, owner.uid)) continue;
    await attempts.write(nameOf(type, object), () =>
      api.delete(type, object.metadata, { preconditions: { uid } }),
    );
  }
}

async function labelPods(
  observed: Observed,
  { api, objects: { pods }, attempts }: MaintenanceTools,
): Promise<void> {
  const { namespace, name } = observed;
  for (const view of observed.pods) {
    const labels = wantedPodLabels(observed, view);
    const key = { namespace, name: podName(name, view.ordinal) };
    const live = pods.find(({ metadata }) => metadata.name === key.name)?.metadata.labels ?? {};
    if (labels === undefined || view.deleting) continue;
    const same = Object.entries(labels).every(([label, value]) => (live[label] ?? null) === value);
    if (same) continue;
    const body = { metadata: { uid: view.uid, labels } };
    await attempts.write(nameOf(PODS, { metadata: key }), () =>
      unlessReplaced(() => api.patch(PODS, key, { body })),
    );
  }
}

/** A volume tells whose data it holds, as soon as there is a group that can have put some there. */
async function markClaims(
  { namespace, name, group, claims, spec, status }: Observed,
  { api, owner, objects, attempts }: MaintenanceTools,
): Promise<void> {
  const clusterId = group?.clusterId;
  const owned = spec.storage.retention.whenDeleted === 'Delete';
  const ours = claims.filter(
    (claim) => !claim.deleting && !isForeignClaim(claim, clusterId ?? status.clusterID),
  );
  for (const { ordinal, uid, clusterId: noted } of ours) {
    const key = { namespace, name: claimName(name, ordinal) };
    const live = objects.claims.find(({ metadata }) => metadata.name === key.name);
    const isOwned = isControlledBy(live, owner.uid);
    // It goes with a former cluster, or is somebody else's.
    if (!isOwned && live !== undefined && controllerOf(live) !== undefined) continue;
    const marks = noted === undefined && clusterId !== undefined;
    // What nobody has marked yet may be anybody's.
    if (!marks && (noted === undefined || isOwned === owned)) continue;
    const annotations = marks ? { [ANNOTATIONS.clusterId]: clusterId } : {};
    const ownerReferences = owned ? [owner] : [];
    const body = { metadata: { uid, annotations, ownerReferences } };
    await attempts.write(nameOf(CLAIMS, { metadata: key }), () =>
      unlessReplaced(() => api.patch(CLAIMS, key, { body })),
    );
  }
}

/** Another object may have its name by now, or none: the next pass sees that. */
async function unlessReplaced(patch: () => Promise<unknown>): Promise<void> {
  try {
    await patch();
  } catch (error) {
    const replaced = error instanceof ApiError && [404, 409, 422].includes(error.code);
    if (!replaced) throw error;
  }
}

function nameOf({ kind }: ResourceType, { metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`;
}
