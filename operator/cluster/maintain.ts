import type { KubernetesApi } from '../controller/api-client.ts';
import { ApiError } from '../controller/api-error.ts';
import {
  keyText,
  type KubernetesObject,
  type OwnerReference,
} from '../controller/kubernetes-object.ts';
import { ANNOTATIONS, claimName, OPERATOR, podName } from '../resources/names.ts';
import { CLAIMS, PODS } from '../resources/resource-types.ts';
import type { ClusterStores } from './cluster-stores.ts';
import type { ClusterObjects } from './kubernetes-objects.ts';
import type { Observed } from './observed.ts';
import { isContained, wantedObjects, wantedPodLabels } from './upkeep.ts';

/**
 * Brings what follows from spec and group into agreement with them: Services, the disruption
 * budget, labels of pods, marks and owners of volumes. Writes only what differs.
 */
export async function maintain(
  observed: Observed,
  {
    api,
    stores,
    objects,
    owner,
  }: {
    readonly api: KubernetesApi;
    readonly stores: ClusterStores;
    readonly objects: ClusterObjects;
    readonly owner: OwnerReference;
  },
): Promise<void> {
  const wanted = wantedObjects(observed, owner);
  for (const { type, object } of wanted) {
    const live = stores.others.get(type.plural)?.get(keyText(object.metadata));
    if (!isContained(object, live)) await api.apply(type, object, { fieldManager: OPERATOR });
  }
  // A setting turned them off, or their member is gone.
  for (const { type, object } of stores.followingOf(objects.cluster)) {
    const isWanted = wanted.some(
      (one) => one.type === type && one.object.metadata.name === object.metadata.name,
    );
    if (!isWanted && isOwnedBy(object, owner)) await api.delete(type, object.metadata);
  }
  await labelPods(observed, objects, api);
  await markClaims(observed, objects, { api, owner });
}

async function labelPods(
  observed: Observed,
  { pods }: ClusterObjects,
  api: KubernetesApi,
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
    await unlessReplaced(() => api.patch(PODS, key, { body }));
  }
}

/** A volume tells whose data it holds, as soon as there is a group that can have put some there. */
async function markClaims(
  { namespace, name, group, claims, spec, status }: Observed,
  objects: ClusterObjects,
  { api, owner }: { readonly api: KubernetesApi; readonly owner: OwnerReference },
): Promise<void> {
  const clusterId = group?.clusterId;
  const owned = spec.storage.retention.whenDeleted === 'Delete';
  // A volume that says something else is a foreign one: the plan deals with it.
  const ours = claims.filter(({ clusterId: noted, deleting }) => {
    const isForeign = noted !== undefined && noted !== (clusterId ?? status.clusterID);
    return !deleting && !isForeign;
  });
  for (const { ordinal, uid, clusterId: noted } of ours) {
    const key = { namespace, name: claimName(name, ordinal) };
    const live = objects.claims.find(({ metadata }) => metadata.name === key.name);
    const isOwned = isOwnedBy(live, owner);
    const marks = noted === undefined && clusterId !== undefined;
    // What nobody has marked yet may be anybody's.
    if (!marks && (noted === undefined || isOwned === owned)) continue;
    const annotations = marks ? { [ANNOTATIONS.clusterId]: clusterId } : {};
    const ownerReferences = owned ? [owner] : [];
    const body = { metadata: { uid, annotations, ownerReferences } };
    await unlessReplaced(() => api.patch(CLAIMS, key, { body }));
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

export function isOwnedBy(object: KubernetesObject | undefined, owner: OwnerReference): boolean {
  return object?.metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) ?? false;
}
