import type { ResourceType } from '../controller/kubernetes-object.ts';

const core = (plural: string, kind: string): ResourceType => ({
  ...{ group: '', version: 'v1', plural, kind },
});

export const PODS = core('pods', 'Pod');
export const CLAIMS = core('persistentvolumeclaims', 'PersistentVolumeClaim');
export const VOLUMES = core('persistentvolumes', 'PersistentVolume');
export const NODES = core('nodes', 'Node');
export const SERVICES = core('services', 'Service');
export const SERVICE_ACCOUNTS = core('serviceaccounts', 'ServiceAccount');
export const SECRETS = core('secrets', 'Secret');

export const STATEFUL_SETS: ResourceType = {
  ...{ group: 'apps', version: 'v1', plural: 'statefulsets', kind: 'StatefulSet' },
};

export const CONTROLLER_REVISIONS: ResourceType = {
  ...{ group: 'apps', version: 'v1', plural: 'controllerrevisions', kind: 'ControllerRevision' },
};

export const DISRUPTION_BUDGETS: ResourceType = {
  ...{ group: 'policy', version: 'v1', plural: 'poddisruptionbudgets' },
  kind: 'PodDisruptionBudget',
};

export const NETWORK_POLICIES: ResourceType = {
  ...{ group: 'networking.k8s.io', version: 'v1', plural: 'networkpolicies' },
  kind: 'NetworkPolicy',
};

/** Of the Prometheus operator: not every cluster serves it. */
export const SERVICE_MONITORS: ResourceType = {
  ...{ group: 'monitoring.coreos.com', version: 'v1', plural: 'servicemonitors' },
  kind: 'ServiceMonitor',
};
