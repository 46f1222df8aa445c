import type { AtomicClusterSpec } from '../api/atomic-cluster.ts';
import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import {
  commonLabels,
  LABELS,
  leaderServiceName,
  memberServiceName,
  peerServiceName,
  podName,
  PORTS,
  readServiceName,
  selectorLabels,
  type ClusterName,
} from './names.ts';

type Service = KubernetesObject & { readonly spec: Readonly<Record<string, unknown>> };

const grpcPort = { name: 'grpc', port: PORTS.grpc, targetPort: 'grpc', protocol: 'TCP' };
const httpPort = { name: 'http', port: PORTS.http, targetPort: 'http', protocol: 'TCP' };

const POD_NAME = 'statefulset.kubernetes.io/pod-name';

/**
 * The Services of a cluster: one for each member, for members `0..members - 1`; for clients, for the
 * leader alone, for followers; and the one without address that the StatefulSet wants.
 */
export function services(
  cluster: ClusterName & { readonly spec: AtomicClusterSpec },
  { members, owner }: { readonly members: number; readonly owner: OwnerReference },
): readonly Service[] {
  const { namespace, name, spec } = cluster;
  const selector = selectorLabels(name);
  const service = (
    serviceName: string,
    fields: Readonly<Record<string, unknown>>,
    annotations?: Readonly<Record<string, string>>,
  ): Service => ({
    metadata: {
      ...{ namespace, name: serviceName, labels: commonLabels(name), ownerReferences: [owner] },
      ...(annotations !== undefined && { annotations }),
    },
    spec: { selector, ports: [grpcPort], ...fields },
  });
  const ordinals = Array.from({ length: members }, (_, ordinal) => ordinal);
  return [
    ...ordinals.map((ordinal) =>
      service(memberServiceName(name, ordinal), {
        selector: { ...selector, [POD_NAME]: podName(name, ordinal) },
        publishNotReadyAddresses: true,
      }),
    ),
    // Peers must find one another before they are ready: only together can they become so.
    service(peerServiceName(name), {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      ports: [grpcPort, httpPort],
    }),
    service(name, { type: spec.service.type }, spec.service.annotations),
    service(leaderServiceName(name), { selector: { ...selector, [LABELS.role]: 'leader' } }),
    service(readServiceName(name), { selector: { ...selector, [LABELS.role]: 'follower' } }),
  ];
}
