/** The address plan of the one cluster that can run at a time, in network namespaces of its own. */

/** Where the control plane listens; a bridge in its namespace connects the nodes. */
export const CONTROL_PLANE_IP = '10.200.0.1';
export const NODE_NETWORK_BITS = 24;
export const API_URL = `https://${CONTROL_PLANE_IP}:6443`;
export const SERVICE_RANGE = '10.96.0.0/16';
/** The first address of the range is the API server's own service. */
export const API_SERVICE_IP = '10.96.0.1';
export const POD_RANGE = '10.244.0.0/16';
export const CONTROL_PLANE_NAMESPACE = 'k8s-cp';

/** A node of the bed, numbered from 1. */
export type NodeAddress = {
  readonly number: number;
  readonly name: string;
  readonly ip: string;
  readonly podRange: string;
  readonly namespace: string;
};

export function nodeAddress(number: number): NodeAddress {
  const name = `n${String(number)}`;
  return {
    number,
    name,
    ip: `10.200.0.${String(10 + number)}`,
    podRange: `10.244.${String(number)}.0/24`,
    namespace: `k8s-${name}`,
  };
}

/** The nodes 1..count. */
export function nodeAddresses(count: number): readonly NodeAddress[] {
  return Array.from({ length: count }, (_, at) => nodeAddress(at + 1));
}
