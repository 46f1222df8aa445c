import { quorumOf } from '../cluster/plan/membership.ts';
import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import { commonLabels, LABELS, PORTS, selectorLabels, type ClusterName } from './names.ts';

type WithSpec = KubernetesObject & { readonly spec: Readonly<Record<string, unknown>> };

/**
 * Lets evictions take no more voters than leave a quorum of the larger of today's and tomorrow's
 * group; but one may go if today's has a quorum then, or nothing could be rolled before tomorrow. A
 * single voter may be evicted: nothing could protect it, and nodes must be drained.
 */
export function disruptionBudget(
  { namespace, name }: ClusterName,
  { voters, replicas }: { readonly voters: number; readonly replicas: number },
  owner: OwnerReference,
): WithSpec {
  const tomorrow = Math.min(quorumOf(replicas), voters - 1);
  const minAvailable = voters <= 1 ? 0 : Math.max(quorumOf(voters), tomorrow);
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
