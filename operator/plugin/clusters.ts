import { ATOMIC_CLUSTER } from '../api/atomic-cluster.ts';
import type { AtomicClusterObject } from '../cluster/kubernetes-objects.ts';
import { ApiError } from '../controller/api-error.ts';
import { PluginError } from './failure.ts';
import type { PluginPorts } from './ports.ts';
import { withRight, type Right } from './rights.ts';

const RESOURCE = `${ATOMIC_CLUSTER.plural}.${ATOMIC_CLUSTER.group}`;

/** AtomicClusters are not installed. */
class UnknownKind extends PluginError {}

/** A right on AtomicClusters. */
export function clusterRight(verb: string, namespace: string | undefined): Right {
  return { verb, resource: RESOURCE, namespace };
}

/** @throws PluginError when there is none of that name, or the kind is not installed. */
export async function findCluster(
  name: string,
  ports: Pick<PluginPorts, 'api' | 'namespace'>,
): Promise<AtomicClusterObject> {
  const { api, namespace } = ports;
  const key = { namespace, name };
  const found = await withRight(clusterRight('get', namespace), () =>
    api.get<AtomicClusterObject>(ATOMIC_CLUSTER, key),
  );
  if (found !== undefined) return found;
  throw new PluginError(
    `there is no AtomicCluster ${name} in namespace ${namespace}: ${await othersText(ports)}`,
  );
}

/** All of a namespace, or of all. @throws PluginError when the kind is not installed. */
export async function listClusters(
  { api }: Pick<PluginPorts, 'api'>,
  namespace: string | undefined,
): Promise<readonly AtomicClusterObject[]> {
  try {
    const { items } = await withRight(clusterRight('list', namespace), () =>
      api.list<AtomicClusterObject>(ATOMIC_CLUSTER, { namespace }),
    );
    return items;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 404) throw error;
    throw new UnknownKind(
      `this Kubernetes does not know AtomicClusters: install the chart atomic-operator, or choose another cluster with --context`,
    );
  }
}

async function othersText(ports: Pick<PluginPorts, 'api' | 'namespace'>): Promise<string> {
  try {
    const names = (await listClusters(ports, ports.namespace)).map(({ metadata }) => metadata.name);
    return names.length === 0
      ? 'there are none at all; give its namespace with -n, or list all with status -A'
      : `there are ${names.join(', ')}`;
  } catch (error) {
    if (!(error instanceof PluginError) || error instanceof UnknownKind) throw error;
    return 'look for it with status -A, or give its namespace with -n';
  }
}
