import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import { commonLabels, LABELS, PORTS, selectorLabels, type ClusterName } from './names.ts';

type WithSpec = KubernetesObject & { readonly spec: Readonly<Record<string, unknown>> };

/**
 * Lets evictions take no more voters than leave a quorum of the larger of today's and tomorrow's
 * group. A single voter may be evicted: nothing could protect it, and nodes must be drained.
 */
export function disruptionBudget(
  { namespace, name }: ClusterName,
  voters: number,
  owner: OwnerReference,
): WithSpec {
  const minAvailable = voters <= 1 ? 0 : Math.floor(voters / 2) + 1;
  return {
    metadata: { ...{ namespace, name }, labels: commonLabels(name), ownerReferences: [owner] },
    spec: {
      minAvailable,
      selector: { matchLabels: { ...selectorLabels(name), [LABELS.voter]: 'true' } },
      unhealthyPodEvictionPolicy: 'IfHealthyBudget',
    },
  };
}

/** Pods have no business with the API server. */
export function serviceAccount(
  { namespace, name }: ClusterName,
  owner: OwnerReference,
): KubernetesObject & { readonly automountServiceAccountToken: false } {
  return {
    metadata: { ...{ namespace, name }, labels: commonLabels(name), ownerReferences: [owner] },
    automountServiceAccountToken: false,
  };
}

/** Only the ports of the product; what peers and administrators say is guarded by the secret. */
export function networkPolicy({ namespace, name }: ClusterName, owner: OwnerReference): WithSpec {
  const port = (number: number) => ({ port: number, protocol: 'TCP' });
  return {
    metadata: { ...{ namespace, name }, labels: commonLabels(name), ownerReferences: [owner] },
    spec: {
      podSelector: { matchLabels: selectorLabels(name) },
      policyTypes: ['Ingress'],
      ingress: [{ ports: Object.values(PORTS).map(port) }],
    },
  };
}
