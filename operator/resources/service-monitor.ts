import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import { commonLabels, LABELS, selectorLabels, type ClusterName } from './names.ts';

/**
 * Tells Prometheus of all members, ready or not: of the Services of a cluster only the one for the
 * StatefulSet has the port. Samples carry the name of the cluster.
 */
export function serviceMonitor(
  { namespace, name }: ClusterName,
  owner: OwnerReference,
): KubernetesObject & { readonly spec: Readonly<Record<string, unknown>> } {
  return {
    metadata: { ...{ namespace, name }, labels: commonLabels(name), ownerReferences: [owner] },
    spec: {
      selector: { matchLabels: selectorLabels(name) },
      targetLabels: [LABELS.cluster],
      endpoints: [{ port: 'http', path: '/metrics' }],
    },
  };
}
