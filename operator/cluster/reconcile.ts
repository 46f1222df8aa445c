import type { AtomicClusterStatus } from '../api/atomic-cluster.ts';
import { ATOMIC_CLUSTER } from '../api/atomic-cluster.ts';
import type { KubernetesApi } from '../controller/api-client.ts';
import { ApiError } from '../controller/api-error.ts';
import type { Clock } from '../controller/clock.ts';
import type { ReconcileContext, ReconcileResult } from '../controller/controller.ts';
import type { EventRecorder, RecordedEvent } from '../controller/event-recorder.ts';
import { apiVersionOf, keyText, type OwnerReference } from '../controller/kubernetes-object.ts';
import { timestamp } from '../controller/kubernetes-time.ts';
import { mergeConditions, writeStatus, type NewCondition } from '../controller/status-writer.ts';
import { serverImage, type ImageName } from '../resources/image.ts';
import { authSecretName, OPERATOR } from '../resources/names.ts';
import { STATEFUL_SETS } from '../resources/resource-types.ts';
import type { Action, Plan } from './action.ts';
import { AGAIN_MS, Attempts, withTroubles, type Troubles } from './attempts.ts';
import { AuthSecret } from './auth-secret.ts';
import type { ClusterStores } from './cluster-stores.ts';
import { unknownConditions } from './conditions.ts';
import { factsSeen, FactMemory } from './evidence.ts';
import { noteOf } from './action-note.ts';
import { execute, StaleObservation } from './execute.ts';
import type { AtomicClusterObject, ClusterObjects } from './kubernetes-objects.ts';
import { maintain } from './maintain.ts';
import { keepServiceMonitor, type MonitorMemory } from './monitoring.ts';
import { observe, type Observation } from './observe.ts';
import { controllerOf, ForeignObject, isOfFormer, LeavingObject } from './ownership.ts';
import type { Observed } from './observed.ts';
import { Replicas, type ConnectReplica } from './replicas.ts';
import { RollSlots } from './roll-slots.ts';
import { statusOf, type ComputedStatus } from './status.ts';

const LOOK_AGAIN_MS = 200;
const RETRY_MS = 1_000;
/** A storage class may allow growth by then, a quota may have room. */
const GROW_AGAIN_MS = 300_000;
const NOTE_LENGTH_MAX = 500;

/** What a reconciler is made of. */
export type ReconcilerOptions = {
  readonly api: KubernetesApi;
  readonly stores: ClusterStores;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly clock: Clock;
  readonly connect: ConnectReplica;
  /** Unlike that of any other process that ever was. */
  readonly instance: string;
  /** The image of servers for which the spec names none. */
  readonly image: ImageName;
  /** How many clusters may be rolled at once only because this operator makes other pods. */
  readonly maxConcurrentRolls: number;
};

/** What is remembered of a cluster from one pass to the next; losing it costs time only. */
type Memory = {
  readonly uid: string;
  readonly facts: FactMemory;
  readonly replicas: Replicas;
  readonly secret: AuthSecret;
  troubles: Troubles;
  fence: number | undefined;
  growthRefusal: GrowthRefusal | undefined;
  monitor: MonitorMemory | undefined;
};

/** That Kubernetes would not grow a volume to this size, and why; it is asked again later. */
type GrowthRefusal = { readonly size: string; readonly message: string; readonly untilMs: number };

/** What the parts of one pass share. */
type Pass = {
  readonly memory: Memory;
  readonly objects: ClusterObjects;
  readonly owner: OwnerReference;
  readonly context: ReconcileContext;
  readonly attempts: Attempts;
};

/** Brings AtomicClusters to what their specs ask for: observe, plan, execute, tell. */
export class ClusterReconciler {
  readonly #options: ReconcilerOptions;
  readonly #memories = new Map<string, Memory>();
  readonly #rollSlots: RollSlots;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#rollSlots = new RollSlots(options.maxConcurrentRolls);
  }

  /** One pass over the cluster with the key `namespace/name`. */
  async reconcile(key: string, context: ReconcileContext): Promise<ReconcileResult> {
    const cluster = this.#options.stores.clusters.get(key);
    if (cluster === undefined) {
      this.#forget(key);
      return {};
    }
    try {
      return await this.#pass(cluster, this.#memoryOf(key, cluster), context);
    } catch (error) {
      if (error instanceof StaleObservation || (error instanceof ApiError && error.isConflict)) {
        context.logger.debug('looking again', { reason: error.message });
        return { requeueAfterMs: LOOK_AGAIN_MS };
      }
      await this.#tellUnknown(cluster, error);
      throw error;
    }
  }

  async #pass(
    cluster: AtomicClusterObject,
    memory: Memory,
    context: ReconcileContext,
  ): Promise<ReconcileResult> {
    const { api, stores, clock } = this.#options;
    const objects = withoutFormerPods(stores.objectsOf(cluster));
    const attempts = new Attempts(memory.troubles, clock.now());
    const owner = ownerOf(cluster);
    const { statefulSet } = objects;
    // Nothing of a deleted cluster may pass to the one that has its name now, but what is left to stay.
    if (statefulSet !== undefined && isOfFormer(statefulSet, owner)) {
      await this.#tellUnknown(cluster, new LeavingObject(STATEFUL_SETS, statefulSet));
      return { requeueAfterMs: RETRY_MS };
    }
    const pass = { memory, objects, owner, context, attempts };
    await this.#readSecret(pass);
    const observation = await observe(objects, {
      replicas: memory.replicas,
      fence: memory.fence,
      monitored: memory.monitor?.monitored,
      growthRefused: (size) => refusalOf(memory, size, clock.now()),
      image: (spec, status) => serverImage(spec, status, this.#options.image),
      now: clock.wallTime(),
    });
    memory.secret.doubt(observation.pods.some(({ report }) => report === undefined));
    const facts = memory.facts.note(factsSeen(observation), clock.now());
    const observed = { ...observation, facts };
    let next = this.#rollSlots.plan(keyText(cluster.metadata), observed);
    context.signal.throwIfAborted();
    if (!observed.deleting && !observed.spec.paused) {
      await maintain(observed, { api, stores, objects, owner, attempts });
      await this.#keepSecret(pass);
      await this.#keepMonitor(observed, pass);
      next = await this.#act(observation, next, pass);
      next = this.#tellTroubles(next, pass);
    }
    await this.#tell(cluster, observed, next);
    return { requeueAfterMs: next.requeueAfterMs };
  }

  /** What could not be written is told: in the status, and once by an event. */
  #tellTroubles(next: Plan, { memory, objects, attempts }: Pass): Plan {
    for (const { reason, message: note } of attempts.news) {
      const name = reason === 'Refused' ? 'ObjectRefused' : reason;
      const about = { type: 'Warning', reason: name, action: 'KeepObject' } as const;
      this.#record(objects.cluster, { ...about, note });
    }
    memory.troubles = attempts.troubles;
    return withTroubles(next, attempts.troubles);
  }

  async #readSecret({ memory, objects, attempts }: Pass): Promise<void> {
    const { api, clock } = this.#options;
    if (objects.statefulSet === undefined) return;
    const what = `Secret ${authSecretName(objects.cluster.metadata.name)}`;
    await attempts.write(what, () => memory.secret.read(api, clock.now()));
  }

  async #keepSecret({ memory, objects: { cluster }, owner, attempts }: Pass): Promise<void> {
    const name = authSecretName(cluster.metadata.name);
    await attempts.write(`Secret ${name}`, async () => {
      const made = await memory.secret.keep({ api: this.#options.api, owner });
      if (made === undefined) return;
      const content = made === 'same' ? 'the same content' : 'another content, for all members';
      this.#record(cluster, {
        ...{ type: 'Warning', reason: 'SecretMissing', action: 'CreateSecret' },
        note: `the Secret ${name} was gone: it was made again with ${content}`,
      });
    });
  }

  async #keepMonitor(
    observed: Observed,
    { memory, objects: { cluster }, owner, attempts }: Pass,
  ): Promise<void> {
    const { api, clock } = this.#options;
    const before = memory.monitor?.monitored?.reason;
    memory.monitor = await keepServiceMonitor(observed, memory.monitor, {
      ...{ api, owner, attempts, nowMs: clock.now() },
    });
    const { reason = 'Made', message = '' } = memory.monitor.monitored ?? {};
    if (reason === 'Made' || reason === before) return;
    this.#record(cluster, {
      ...{ type: 'Warning', reason: `ServiceMonitor${reason}`, action: 'KeepServiceMonitor' },
      note: message,
    });
  }

  /** Carries the action out; what is refused for a reason is told and tried again. */
  async #act(observation: Observation, next: Plan, pass: Pass): Promise<Plan> {
    const { action } = next;
    if (action === undefined) return next;
    const { memory, objects, owner, context, attempts } = pass;
    const { cluster, statefulSet } = objects;
    const { logger } = context;
    logger.info(action.type, { ...flat(action), operation: next.operation?.type });
    try {
      await execute(action, observation, {
        ...{ api: this.#options.api, instance: this.#options.instance, owner },
        replicas: memory.replicas,
        fenceClaimed: (fence) => {
          memory.fence = fence;
        },
        resourceVersions: {
          cluster: cluster.metadata.resourceVersion,
          statefulSet: statefulSet?.metadata.resourceVersion,
        },
      });
    } catch (error) {
      if (error instanceof StaleObservation || !(error instanceof Error)) throw error;
      if (error instanceof ForeignObject) {
        attempts.failed(`StatefulSet ${cluster.metadata.name}`, error);
        return { requeueAfterMs: AGAIN_MS };
      }
      if (action.type === 'growClaim' && error instanceof ApiError && isForGood(error)) {
        const untilMs = this.#options.clock.now() + GROW_AGAIN_MS;
        memory.growthRefusal = { size: action.size, message: error.message, untilMs };
      }
      logger.warn(`${action.type} did not succeed`, { error: error.message });
      this.#event(cluster, action, { type: 'Warning', note: error.message });
      return refusedPlan(next, error);
    }
    const note = noteOf(cluster.metadata.name, action, next.operation);
    this.#event(cluster, action, { type: 'Normal', note });
    return next;
  }

  #event(
    cluster: AtomicClusterObject,
    action: Action,
    { type, note }: { readonly type: 'Normal' | 'Warning'; readonly note: string },
  ): void {
    const name = action.type.replace(/^./, (letter) => letter.toUpperCase());
    const reason = type === 'Normal' ? name : `${name}Failed`;
    this.#record(cluster, { type, reason, action: name, note });
  }

  #record(cluster: AtomicClusterObject, event: Omit<RecordedEvent, 'regarding'>): void {
    const kind = { apiVersion: apiVersionOf(ATOMIC_CLUSTER), kind: ATOMIC_CLUSTER.kind };
    const note = event.note.slice(0, NOTE_LENGTH_MAX);
    this.#options.recorder.event({ regarding: { ...kind, ...cluster }, ...event, note });
  }

  async #tell(cluster: AtomicClusterObject, observed: Observed, next: Plan): Promise<void> {
    const version = observed.spec.version ?? observed.status.version ?? this.#options.image.tag;
    await this.#write(cluster, { ...statusOf(observed, next), version }, observed.generation);
  }

  /** Whoever could not look must not go on saying that all is well. */
  async #tellUnknown(cluster: AtomicClusterObject, error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    const unknown = unknownConditions(message.slice(0, NOTE_LENGTH_MAX));
    const kept = (cluster.status?.conditions ?? []).filter(
      ({ type }) => !unknown.some((one) => one.type === type),
    );
    const { generation = 0 } = cluster.metadata;
    try {
      await this.#write(
        cluster,
        { ...cluster.status, conditions: [...unknown, ...kept] },
        generation,
      );
    } catch {
      // The error that led here is the one to be told.
    }
  }

  async #write(
    cluster: AtomicClusterObject,
    status: Omit<ComputedStatus, 'conditions'> & { readonly conditions: readonly NewCondition[] },
    generation: number,
  ): Promise<void> {
    const now = timestamp(this.#options.clock.wallTime());
    const current = status.conditions.map((one) => ({ observedGeneration: generation, ...one }));
    const conditions = mergeConditions(cluster.status?.conditions ?? [], current, now);
    await writeStatus(this.#options.api, {
      type: ATOMIC_CLUSTER,
      object: cluster,
      status: { ...status, conditions: [...conditions] } satisfies AtomicClusterStatus,
      fieldManager: `${OPERATOR}-status`,
    });
  }

  #memoryOf(key: string, cluster: AtomicClusterObject): Memory {
    const { uid = '', namespace = '', name } = cluster.metadata;
    const known = this.#memories.get(key);
    if (known?.uid === uid) return known;
    this.#forget(key);
    const memory: Memory = {
      uid,
      facts: new FactMemory(),
      replicas: new Replicas((address) => this.#options.connect(address, () => memory.secret.text)),
      secret: new AuthSecret({ namespace, name }),
      troubles: new Map(),
      fence: undefined,
      growthRefusal: undefined,
      monitor: undefined,
    };
    this.#memories.set(key, memory);
    return memory;
  }

  #forget(key: string): void {
    this.#memories.get(key)?.replicas[Symbol.dispose]();
    this.#memories.delete(key);
    this.#rollSlots.forget(key);
  }
}

/** Without its StatefulSet a pod that still has one for its controller ends by itself. */
function withoutFormerPods(objects: ClusterObjects): ClusterObjects {
  const { cluster, statefulSet, pods } = objects;
  const isNew = statefulSet === undefined && cluster.status?.clusterID === undefined;
  return isNew
    ? { ...objects, pods: pods.filter((pod) => controllerOf(pod) === undefined) }
    : objects;
}

function ownerOf({ metadata }: AtomicClusterObject): OwnerReference {
  return {
    apiVersion: apiVersionOf(ATOMIC_CLUSTER),
    kind: ATOMIC_CLUSTER.kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** What the API server refuses for good, a person must mend; all else passes. */
function refusedPlan(next: Plan, error: Error): Plan {
  const { operation, stalled } = next;
  const rest = {
    ...(operation && { operation }),
    ...(stalled && { stalled }),
    requeueAfterMs: RETRY_MS,
  };
  const type = next.operation?.type ?? 'Repair';
  if (isRefusedForGood(next, error))
    return { ...rest, stalled: { reason: 'Refused', message: error.message } };
  const before = next.operation === undefined ? '' : `${next.operation.message}; `;
  return { ...rest, operation: { type, message: `${before}${error.message}` } };
}

function refusalOf({ growthRefusal }: Memory, size: string, nowMs: number): string | undefined {
  if (growthRefusal?.size !== size || growthRefusal.untilMs <= nowMs) return undefined;
  return growthRefusal.message;
}

/** The same request will be refused again, until somebody changes something else. */
function isForGood({ code }: ApiError): boolean {
  return code === 403 || code === 422;
}

/** An object that Kubernetes does not want: a person must change the spec, or the permissions. */
function isRefusedForGood({ action }: Plan, error: Error): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  const applies = action?.type === 'createStatefulSet' || action?.type === 'applyTemplate';
  return error.code === 403 || (applies && (error.code === 400 || error.code === 422));
}

/** The fields of an action as a log has them. */
function flat(action: Action): Readonly<Record<string, string>> {
  const fields = Object.entries(action).filter(([name]) => name !== 'type');
  return Object.fromEntries(fields.map(([name, value]) => [name, String(value)]));
}
