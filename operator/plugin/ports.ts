import type { KubernetesApi } from '../controller/api-client.ts';
import type { Clock } from '../controller/clock.ts';
import type { Replica } from '../cluster/replicas.ts';

export type PodKey = { readonly namespace: string; readonly name: string };

/** A server that can be called from this machine, until it is disposed of. */
export type OpenReplica = Pick<Replica, 'status' | 'transferLeader'> & AsyncDisposable;

/** What the commands touch the world with; tests have their own. */
export type PluginPorts = {
  readonly api: Pick<KubernetesApi, 'get' | 'list' | 'patch'>;
  /** The JSON of a server's status page. @throws ApiError */
  readonly readPage: (pod: PodKey) => Promise<unknown>;
  /** A way to the administration of a server. @throws ApiError */
  readonly openReplica: (pod: PodKey, secret: string) => Promise<OpenReplica>;
  readonly clock: Clock;
  /** That of the command line, or of the context. */
  readonly namespace: string;
};
