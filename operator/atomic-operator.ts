import { KubeConfig } from '@kubernetes/client-node';
import { randomUUID } from 'node:crypto';
import { ATOMIC_CLUSTER } from './api/atomic-cluster.ts';
import { ClusterStores, clusterKeyOf } from './cluster/cluster-stores.ts';
import type { AtomicClusterObject } from './cluster/kubernetes-objects.ts';
import { ClusterReconciler } from './cluster/reconcile.ts';
import { connectReplica, type ConnectReplica } from './cluster/replicas.ts';
import { ApiClient, type KubernetesApi } from './controller/api-client.ts';
import { systemClock, type Clock } from './controller/clock.ts';
import { Controller } from './controller/controller.ts';
import { EventRecorder } from './controller/event-recorder.ts';
import { HealthServer } from './controller/health-server.ts';
import type { KubernetesObject, ResourceType } from './controller/kubernetes-object.ts';
import { LeaderElection } from './controller/leader-election.ts';
import type { Logger } from './controller/logger.ts';
import { Manager } from './controller/manager.ts';
import { createControllerMetrics, type ControllerMetrics } from './controller/metrics.ts';
import type { Change, ObjectStore } from './controller/object-store.ts';
import { Reflector } from './controller/reflector.ts';
import { WorkQueue } from './controller/work-queue.ts';
import type { OperatorOptions } from './flags.ts';
import { LABELS, OPERATOR } from './resources/names.ts';

const CONTROLLER = 'atomiccluster';
/** A cluster in trouble is looked at again at least this often. */
const RETRY_MAX_MS = 30_000;
const MANAGED = `${LABELS.managedBy}=${OPERATOR}`;

/**
 * Runs the operator until `signal` fires.
 *
 * @throws LeadershipLost, or what a part failed with: the process must be replaced then.
 */
export async function runOperator(
  options: OperatorOptions,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const metrics = createControllerMetrics();
  const api = connect(metrics);
  const ports = { api, clock: systemClock, connect: connectReplica, metrics, logger };
  const { manager, reflectors, recorder } = assembleOperator(options, ports);
  const health = new HealthServer({
    ...{ live: reflectors, ready: [manager], metrics: metrics.text, logger },
  });
  await health.listen(options.healthPort);
  try {
    await manager.run(signal);
    await recorder.flush();
  } finally {
    await health.close();
  }
}

/** What an operator touches the world with; tests have their own. */
export type OperatorPorts = {
  readonly api: KubernetesApi;
  readonly clock: Clock;
  readonly connect: ConnectReplica;
  readonly metrics: ControllerMetrics;
  readonly logger: Logger;
};

/** Puts the parts of an operator together; nothing happens before the manager runs. */
export function assembleOperator(
  options: OperatorOptions,
  ports: OperatorPorts,
): {
  readonly manager: Manager;
  readonly reflectors: readonly Reflector<KubernetesObject>[];
  readonly recorder: EventRecorder;
} {
  const { api, clock, metrics, logger } = ports;
  const queue = new WorkQueue({
    ...{ clock, maxDelayMs: RETRY_MAX_MS, metrics: metrics.queue(CONTROLLER) },
  });
  const stores = new ClusterStores({ clusterWide: options.namespace === '' });
  const recorder = new EventRecorder({
    ...{ api, clock, logger, metrics: metrics.events },
    reportingController: `atomicraft.dev/${OPERATOR}`,
    reportingInstance: options.podName,
    newSuffix: () => randomUUID().slice(0, 13),
  });
  const instance = `${options.podName}_${randomUUID()}`;
  const parts = { ...ports, options, stores, queue, recorder, instance };
  const reflectors = reflectorsOf(parts);
  const manager = new Manager({
    sources: reflectors,
    workers: [controllerOf(parts)],
    ...(options.leaderElect && { election: electionOf(parts) }),
    logger,
  });
  return { manager, reflectors, recorder };
}

type Parts = OperatorPorts & {
  readonly options: OperatorOptions;
  readonly stores: ClusterStores;
  readonly queue: WorkQueue;
  readonly recorder: EventRecorder;
  /** Unlike that of any other process that ever was. */
  readonly instance: string;
};

/** As KUBECONFIG says, or as the service account of this pod. */
function connect(metrics: ControllerMetrics): ApiClient {
  const config = new KubeConfig();
  config.loadFromDefault();
  const server = config.getCurrentCluster()?.server ?? '';
  return new ApiClient(config, metrics.requests(server.replace(/^https?:\/\//, '')));
}

function reflectorsOf(parts: Parts): readonly Reflector<KubernetesObject>[] {
  const { api, clock, stores, queue, options, metrics, logger } = parts;
  const { namespace } = options;
  const reflect = (
    type: ResourceType,
    store: ObjectStore<KubernetesObject>,
    scope: {
      readonly namespace?: string;
      readonly labelSelector?: string;
      readonly onChange?: (key: string, change: Change<KubernetesObject>) => void;
    },
  ): Reflector<KubernetesObject> => {
    const { onChange, ...where } = scope;
    return new Reflector({
      ...{ api, type, store, clock, random: Math.random, logger, ...where },
      handlers: onChange === undefined ? [] : [onChange],
      metrics: metrics.reflector(type.plural),
    });
  };
  const inNamespace = namespace === '' ? {} : { namespace };
  const enqueueOwner = (_: string, { old, current }: Change<KubernetesObject>): void => {
    const object = current ?? old;
    const key = object === undefined ? undefined : clusterKeyOf(object);
    if (key !== undefined) queue.add(key);
  };
  return [
    reflect(ATOMIC_CLUSTER, stores.clusters, {
      ...inNamespace,
      onChange: (key, change) => {
        if (isAskedFor(change)) queue.add(key);
      },
    }),
    ...stores
      .owned()
      .map(({ type, store }) =>
        reflect(type, store, { ...inNamespace, labelSelector: MANAGED, onChange: enqueueOwner }),
      ),
    ...stores.clusterWide().map(({ type, store }) => reflect(type, store, {})),
  ];
}

/** Our own writes of the status ask for nothing. */
function isAskedFor({ old, current }: Change<AtomicClusterObject>): boolean {
  if (old === undefined || current === undefined) return true;
  const asked = ({ metadata }: AtomicClusterObject): string =>
    JSON.stringify([metadata.generation, metadata.annotations, metadata.deletionTimestamp]);
  return asked(old) !== asked(current);
}

function controllerOf(parts: Parts): Controller {
  const { queue, options, clock, metrics, logger } = parts;
  const reconciler = new ClusterReconciler({
    ...parts,
    image: options.image,
    maxConcurrentRolls: options.maxConcurrentRolls,
  });
  return new Controller({
    ...{ name: CONTROLLER, queue, workers: options.workers, clock, logger },
    reconcile: (key, context) => reconciler.reconcile(key, context),
    newReconcileId: () => randomUUID().slice(0, 8),
    metrics: metrics.controller(CONTROLLER),
  });
}

function electionOf({ api, clock, options, metrics, logger, instance }: Parts): LeaderElection {
  return new LeaderElection({
    ...{ api, clock, random: Math.random, logger, identity: instance },
    lease: { namespace: options.leaseNamespace, name: options.leaseName },
    metrics: metrics.election(options.leaseName),
  });
}
