import { randomUUID } from 'node:crypto';
import { bytesOf } from '../api/quantity.ts';
import { ApiError } from '../controller/api-error.ts';
import type { KubernetesApi } from '../controller/api-client.ts';
import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import {
  ANNOTATIONS,
  claimName,
  LABELS,
  OPERATOR,
  peerId,
  podName,
  type ClusterName,
} from '../resources/names.ts';
import { CLAIMS, CONTROLLER_REVISIONS, PODS, STATEFUL_SETS } from '../resources/resource-types.ts';
import { statefulSet, type PodTemplate } from '../resources/stateful-set.ts';
import { ATOMIC_CLUSTER } from '../api/atomic-cluster.ts';
import type { Action } from './action.ts';
import { ensureSecret } from './auth-secret.ts';
import type { ClaimObject } from './kubernetes-objects.ts';
import type { Observation } from './observe.ts';
import { replacement } from './merge-patch.ts';
import { operationId } from './operation-id.ts';
import {
  ForeignObject,
  hasLabels,
  isControlledBy,
  standingOf,
  takeOver,
  type OwnerTools,
} from './ownership.ts';
import type { Replicas } from './replicas.ts';

/** Owns the number of replicas, so that applying the rest never touches it. */
const SCALE_MANAGER = `${OPERATOR}-scale`;
const CALL_TIMEOUT_MS = 5_000;
/** A change waits for newcomers to catch up; what takes longer is asked for again. */
const CHANGE_TIMEOUT_MS = 10_000;

/** What carrying out an action needs. */
export type ExecutionTools = {
  readonly api: KubernetesApi;
  readonly replicas: Replicas;
  readonly owner: OwnerReference;
  readonly instance: string;
  /** The fence that the group has accepted from this operator. */
  readonly fenceClaimed: (fence: number) => void;
  readonly resourceVersions: {
    readonly cluster: string | undefined;
    readonly statefulSet: string | undefined;
  };
};

/** Something changed since the pass looked: nothing was done, the next pass looks again. */
export class StaleObservation extends Error {
  override readonly name = 'StaleObservation';
}

/**
 * Carries out one action. Every call either carries the version that was looked at or can be
 * repeated without harm.
 *
 * @throws StaleObservation when what was looked at has changed since; ForeignObject when the
 * StatefulSet is somebody else's; ApiError, MembershipError.
 */
export async function execute(
  action: Action,
  seen: Observation,
  tools: ExecutionTools,
): Promise<void> {
  const live = await confirm(seen, tools);
  try {
    await carryOut(action, seen, { ...tools, live });
  } catch (error) {
    if (error instanceof ApiError && error.isConflict) throw new StaleObservation(error.message);
    throw error;
  }
}

type LiveStatefulSet = KubernetesObject & { readonly spec?: { readonly template?: unknown } };

/** With the StatefulSet as it is now, which is as it was seen. */
type ConfirmedTools = ExecutionTools & { readonly live: LiveStatefulSet | undefined };

/** The caches may lag behind: nothing is done on what is no longer so. */
async function confirm(
  seen: Observation,
  { api, owner, resourceVersions }: ExecutionTools,
): Promise<LiveStatefulSet | undefined> {
  const key = { namespace: seen.namespace, name: seen.name };
  const [cluster, set] = await Promise.all([
    api.get(ATOMIC_CLUSTER, key),
    api.get<LiveStatefulSet>(STATEFUL_SETS, key),
  ]);
  const same =
    cluster?.metadata.resourceVersion === resourceVersions.cluster &&
    set?.metadata.resourceVersion === resourceVersions.statefulSet;
  if (set !== undefined) await confirmOwner(set, { api, owner });
  if (!same) throw new StaleObservation('the cluster or its StatefulSet has just changed');
  return set;
}

/** Without its labels the caches do not know it: nothing would ever change. */
async function confirmOwner(set: KubernetesObject, tools: OwnerTools): Promise<void> {
  const { owner } = tools;
  if (standingOf(set, owner) === 'foreign') throw new ForeignObject(STATEFUL_SETS, set);
  const isUnknown = isControlledBy(set, owner.uid) && !hasLabels(set, owner.name);
  if (isUnknown) await takeOver(STATEFUL_SETS, set, tools);
}

async function carryOut(action: Action, seen: Observation, tools: ConfirmedTools): Promise<void> {
  if (isServerAction(action)) return callServer(action, seen, tools);
  if (isPodOrClaimAction(action)) return changePodOrClaim(action, seen, tools);
  return changeStatefulSet(action, seen, tools);
}

const SERVER_ACTIONS = [
  ...(['bootstrap', 'claimFence', 'joinFresh', 'changePeers', 'transferLeader'] as const),
];
const POD_OR_CLAIM_ACTIONS = [
  ...(['evictPod', 'deletePod', 'quarantineClaim', 'releaseClaim', 'deleteClaim'] as const),
  'growClaim' as const,
];

type ServerAction = ActionOf<(typeof SERVER_ACTIONS)[number]>;
type PodOrClaimAction = ActionOf<(typeof POD_OR_CLAIM_ACTIONS)[number]>;

function isServerAction(action: Action): action is ServerAction {
  return SERVER_ACTIONS.some((type) => type === action.type);
}

function isPodOrClaimAction(action: Action): action is PodOrClaimAction {
  return POD_OR_CLAIM_ACTIONS.some((type) => type === action.type);
}

type ActionOf<T extends Action['type']> = Extract<Action, { readonly type: T }>;

async function changeStatefulSet(
  action: Exclude<Action, ServerAction | PodOrClaimAction>,
  seen: Observation,
  { api, owner, resourceVersions, live }: ConfirmedTools,
): Promise<void> {
  const key = { namespace: seen.namespace, name: seen.name };
  switch (action.type) {
    case 'recordClusterId': {
      const clusterID = action.clusterId ?? randomUUID();
      const metadata = { resourceVersion: resourceVersions.cluster };
      const body = { metadata, status: { clusterID } };
      await api.patch(ATOMIC_CLUSTER, key, { body, subresource: 'status' });
      return;
    }
    case 'createStatefulSet': {
      await ensureSecret(api, seen, owner);
      const object = wholeStatefulSet(seen, owner);
      const spec = { ...object.spec, replicas: action.replicas };
      await api.create(STATEFUL_SETS, { ...object, spec });
      return;
    }
    case 'setReplicas': {
      const { uid } = seen.statefulSet ?? {};
      const metadata = { uid, resourceVersion: resourceVersions.statefulSet };
      const body = { metadata, spec: { replicas: action.replicas } };
      await api.patch(STATEFUL_SETS, key, { body, fieldManager: SCALE_MANAGER });
      return;
    }
    case 'applyTemplate':
      return replaceTemplate(api, wholeStatefulSet(seen, owner), live);
    case 'orphanPods': {
      const { statefulSet: resourceVersion } = resourceVersions;
      const preconditions = { uid: action.uid, ...(resourceVersion && { resourceVersion }) };
      const options = { preconditions, propagationPolicy: 'Orphan' } as const;
      return api.delete(STATEFUL_SETS, key, options);
    }
    case 'rollBack':
      return rollBack(action, seen, { api, owner, live });
  }
}

/** The template of an older revision, as the StatefulSet controller has kept it. */
async function rollBack(
  { revision, failedTemplate }: ActionOf<'rollBack'>,
  seen: Observation,
  { api, owner, live }: Pick<ConfirmedTools, 'api' | 'owner' | 'live'>,
): Promise<void> {
  const key = { namespace: seen.namespace, name: seen.name };
  // First what failed: a crash in between must not try it again.
  const body = { status: { failedTemplate } };
  await api.patch(ATOMIC_CLUSTER, key, { body, subresource: 'status' });
  type Revision = KubernetesObject & {
    readonly data?: { readonly spec?: { readonly template?: PodTemplate } };
  };
  const kept = await api.get<Revision>(CONTROLLER_REVISIONS, {
    namespace: seen.namespace,
    name: revision,
  });
  const template = kept?.data?.spec?.template;
  if (template === undefined) throw new Error(`the revision ${revision} does not exist any more`);
  const { metadata, spec } = template;
  const hash = `rolled-back-to-${revision}`;
  const object = statefulSet(
    seen,
    { metadata, spec },
    { hash, owner, claimSize: claimSizeOf(seen) },
  );
  await replaceTemplate(api, object, live);
}

/**
 * Makes the template of a StatefulSet that exists what it is to be: what it has beyond that goes,
 * whoever put it there. The number of replicas stays.
 */
async function replaceTemplate(
  api: KubernetesApi,
  wanted: ReturnType<typeof statefulSet>,
  live: LiveStatefulSet | undefined,
): Promise<void> {
  if (live === undefined) throw new StaleObservation('the StatefulSet is gone');
  const { uid, resourceVersion } = live.metadata;
  const metadata = { ...wanted.metadata, uid, resourceVersion };
  const template = replacement(wanted.spec['template'], live.spec?.template);
  const body = { metadata, spec: { ...wanted.spec, template } };
  await api.patch(STATEFUL_SETS, wanted.metadata, { body, fieldManager: OPERATOR });
}

async function callServer(
  action: ServerAction,
  seen: Observation,
  { api, replicas, instance, fenceClaimed }: ExecutionTools,
): Promise<void> {
  const serverOf = (ordinal: number | undefined) => {
    const ip = ordinal === undefined ? undefined : seen.addresses.get(ordinal);
    if (ip === undefined) throw new StaleObservation('the server has no address any more');
    return replicas.at(ip);
  };
  switch (action.type) {
    case 'bootstrap':
      await serverOf(0).bootstrap(peerId(seen, 0), action.clusterId, CALL_TIMEOUT_MS);
      return markFirstClaim(seen, action.clusterId, api);
    case 'joinFresh': {
      const { ordinal, incarnation } = action;
      return serverOf(ordinal).joinFresh(peerId(seen, ordinal), incarnation, CALL_TIMEOUT_MS);
    }
    case 'claimFence': {
      const { fence, configurationIndex: expectedConfigurationIndex } = action;
      const claim = {
        fence,
        expectedConfigurationIndex,
        operationId: `claim-${instance}-${String(fence)}`,
      };
      await serverOf(seen.group?.leader).claimOperator(claim, CALL_TIMEOUT_MS);
      fenceClaimed(fence);
      return;
    }
    case 'changePeers': {
      const { fence, configurationIndex: expectedConfigurationIndex } = action;
      const peers = action.voters.map((ordinal) => peerId(seen, ordinal));
      const id = operationId(seen.group?.clusterId ?? '', expectedConfigurationIndex, peers);
      const guard = { fence, expectedConfigurationIndex, operationId: id };
      return serverOf(seen.group?.leader).changePeers(peers, guard, CHANGE_TIMEOUT_MS);
    }
    case 'transferLeader':
      return serverOf(seen.group?.leader).transferLeader(peerId(seen, action.to), CALL_TIMEOUT_MS);
  }
}

/** From now on a group lives on it: whoever finds it empty must not begin another one. */
async function markFirstClaim(
  { namespace, name }: ClusterName,
  clusterId: string,
  api: KubernetesApi,
): Promise<void> {
  const annotations = { [ANNOTATIONS.clusterId]: clusterId };
  const key = { namespace, name: claimName(name, 0) };
  await api.patch(CLAIMS, key, { body: { metadata: { annotations } } });
}

async function changePodOrClaim(
  action: PodOrClaimAction,
  seen: Observation,
  { api }: ExecutionTools,
): Promise<void> {
  const { namespace, name, now } = seen;
  const { ordinal, uid } = action;
  const pod = { namespace, name: podName(name, ordinal) };
  const claim = { namespace, name: claimName(name, ordinal) };
  const mark = async (value: string | null): Promise<void> => {
    const metadata = { uid, annotations: { [ANNOTATIONS.quarantinedAt]: value } };
    await api.patch(CLAIMS, claim, { body: { metadata } });
  };
  switch (action.type) {
    case 'evictPod':
      return api.evict(pod, { uid });
    case 'deletePod':
      return api.delete(PODS, pod, { preconditions: { uid } });
    case 'quarantineClaim':
      return mark(now);
    case 'releaseClaim':
      return mark(null);
    case 'growClaim': {
      await confirmSizes(seen, api);
      const spec = { resources: { requests: { storage: action.size } } };
      await api.patch(CLAIMS, claim, { body: { metadata: { uid }, spec } });
      return;
    }
    case 'deleteClaim':
      return api.delete(CLAIMS, claim, { preconditions: { uid } });
  }
}

/** Volumes grow one after the other: the cache may not know yet that one was asked to. */
async function confirmSizes(
  { namespace, name, claims }: Observation,
  api: KubernetesApi,
): Promise<void> {
  const labelSelector = `${LABELS.cluster}=${name}`;
  const { items } = await api.list<ClaimObject>(CLAIMS, { namespace, labelSelector });
  for (const { uid, requestedBytes } of claims) {
    const live = items.find(({ metadata }) => metadata.uid === uid);
    if (bytesOf(live?.spec?.resources?.requests?.storage) !== requestedBytes)
      throw new StaleObservation('a volume was asked to grow just now');
  }
}

function wholeStatefulSet(seen: Observation, owner: OwnerReference) {
  const { template, templateHash: hash } = seen;
  return statefulSet(seen, template, { hash, owner, claimSize: claimSizeOf(seen) });
}

/** A StatefulSet that exists keeps its size: Kubernetes refuses to change it. */
function claimSizeOf({ statefulSet: live, spec }: Observation): string {
  return live?.claimSize ?? spec.storage.size;
}
