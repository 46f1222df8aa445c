import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { RequestObserver } from './api-client.ts';
import type { ReconcileMetrics } from './controller.ts';
import type { EventMetrics } from './event-recorder.ts';
import type { ReflectorMetrics } from './reflector.ts';
import type { QueueMetrics } from './work-queue.ts';

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** The metrics of a controller process, under the names that controller-runtime uses. */
export type ControllerMetrics = {
  /** For metrics of the application. */
  readonly registry: Registry;
  readonly queue: (name: string) => QueueMetrics;
  readonly controller: (name: string) => ReconcileMetrics;
  readonly reflector: (resource: string) => ReflectorMetrics;
  readonly election: (name: string) => { leading(isLeading: boolean): void };
  readonly events: EventMetrics;
  /** `host` as in the address of the API server. */
  readonly requests: (host: string) => RequestObserver;
  readonly text: () => Promise<{ readonly contentType: string; readonly body: string }>;
};

export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    queue: queueMetrics(registry),
    controller: reconcileMetrics(registry),
    reflector: reflectorMetrics(registry),
    election: electionMetrics(registry),
    events: eventMetrics(registry),
    requests: requestMetrics(registry),
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

type Description<L extends string> = {
  readonly name: string;
  readonly help: string;
  readonly labelNames: L[];
  readonly registers: Registry[];
};

/** Describes metrics that have the labels `labelNames`. */
function labelled<L extends string>(registry: Registry, labelNames: L[]) {
  return (name: string, help: string): Description<L> => ({
    ...{ name, help, labelNames },
    registers: [registry],
  });
}

function queueMetrics(registry: Registry): ControllerMetrics['queue'] {
  const of = labelled(registry, ['name']);
  const depth = new Gauge(of('workqueue_depth', 'Keys that wait.'));
  const adds = new Counter(of('workqueue_adds_total', 'Keys added.'));
  const retries = new Counter(of('workqueue_retries_total', 'Keys added again after a failure.'));
  const waited = new Histogram({
    ...of('workqueue_queue_duration_seconds', 'How long a key waited.'),
    buckets: SECONDS,
  });
  const worked = new Histogram({
    ...of('workqueue_work_duration_seconds', 'How long a key was in work.'),
    buckets: SECONDS,
  });
  return (name) => {
    depth.set({ name }, 0);
    adds.inc({ name }, 0);
    retries.inc({ name }, 0);
    return {
      added: (now) => {
        adds.inc({ name });
        depth.set({ name }, now);
      },
      taken: (seconds, now) => {
        waited.observe({ name }, seconds);
        depth.set({ name }, now);
      },
      finished: (seconds) => {
        worked.observe({ name }, seconds);
      },
      retried: () => {
        retries.inc({ name });
      },
    };
  };
}

function reconcileMetrics(registry: Registry): ControllerMetrics['controller'] {
  const of = labelled(registry, ['controller']);
  const ofResult = labelled(registry, ['controller', 'result']);
  const total = new Counter(ofResult('controller_runtime_reconcile_total', 'Reconciles.'));
  const errors = new Counter(
    of('controller_runtime_reconcile_errors_total', 'Reconciles that failed.'),
  );
  const active = new Gauge(of('controller_runtime_active_workers', 'Reconciles under way.'));
  const time = new Histogram({
    ...of('controller_runtime_reconcile_time_seconds', 'How long a reconcile took.'),
    buckets: SECONDS,
  });
  return (controller) => {
    active.set({ controller }, 0);
    errors.inc({ controller }, 0);
    return {
      started: () => {
        active.inc({ controller });
      },
      finished: (result, seconds) => {
        active.dec({ controller });
        time.observe({ controller }, seconds);
        total.inc({ controller, result });
        if (result === 'error' || result === 'timeout') errors.inc({ controller });
      },
    };
  };
}

function reflectorMetrics(registry: Registry): ControllerMetrics['reflector'] {
  const of = labelled(registry, ['resource']);
  const lists = new Counter(of('reflector_lists_total', 'Complete lists.'));
  const failures = new Counter(of('reflector_failures_total', 'Lists and watches that failed.'));
  const handlers = new Counter(
    of('reflector_handler_failures_total', 'Changes on which a handler failed.'),
  );
  return (resource) => ({
    listed: () => {
      lists.inc({ resource });
    },
    failed: () => {
      failures.inc({ resource });
    },
    handlerFailed: () => {
      handlers.inc({ resource });
    },
  });
}

function electionMetrics(registry: Registry): ControllerMetrics['election'] {
  const of = labelled(registry, ['name']);
  const master = new Gauge(of('leader_election_master_status', '1 while this process leads.'));
  return (name) => ({
    leading: (isLeading) => {
      master.set({ name }, Number(isLeading));
    },
  });
}

function eventMetrics(registry: Registry): EventMetrics {
  const of = labelled(registry, []);
  const failed = new Counter(of('event_failures_total', 'Events that could not be sent.'));
  const dropped = new Counter(of('event_drops_total', 'Events beyond the rate of one object.'));
  return {
    failed: () => {
      failed.inc();
    },
    dropped: () => {
      dropped.inc();
    },
  };
}

function requestMetrics(registry: Registry): ControllerMetrics['requests'] {
  const of = labelled(registry, ['code', 'method', 'host']);
  const total = new Counter(of('rest_client_requests_total', 'Requests to the API server.'));
  return (host) =>
    ({ method }, code) => {
      total.inc({ code: code === 0 ? '<error>' : String(code), method, host });
    };
}
