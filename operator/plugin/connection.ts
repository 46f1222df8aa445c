import { KubeConfig } from '@kubernetes/client-node';
import { ReplicaClient } from '../../client/index.ts';
import { ApiClient } from '../controller/api-client.ts';
import { systemClock } from '../controller/clock.ts';
import { pathOf } from '../controller/kubernetes-object.ts';
import { GROUP, PORTS } from '../resources/names.ts';
import { PODS } from '../resources/resource-types.ts';
import { PluginError } from './failure.ts';
import { forwardPort } from './port-forward.ts';
import type { PluginPorts } from './ports.ts';

const PAGE_TIMEOUT_MS = 3_000;
/** What the library makes up where nothing is configured. */
const UNCONFIGURED = 'http://localhost:8080';

export type ConnectionFlags = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
};

/** The cluster that kubectl would talk to with the same flags and environment. */
export function connectTo(flags: ConnectionFlags): PluginPorts {
  const config = configOf(flags);
  const api = new ApiClient(config);
  const { namespace } = config.getContextObject(config.getCurrentContext()) ?? {};
  return {
    api,
    clock: systemClock,
    namespace: flags.namespace ?? namespace ?? 'default',
    readPage: ({ namespace: where, name }) => {
      const server = `${name}:${String(PORTS.http)}`;
      const path = `${pathOf(PODS, where)}/${server}/proxy/status.json`;
      const query = { group: GROUP, samples: '0' };
      return api.request<unknown>({ method: 'GET', path, query }, PAGE_TIMEOUT_MS);
    },
    openReplica: async (pod, secret) => {
      const tunnel = await forwardPort(config, pod, PORTS.grpc);
      const { address } = tunnel;
      const replica = new ReplicaClient({ address, group: GROUP, authSecret: () => secret });
      return {
        status: (options) => replica.status(options),
        transferLeader: (peer, timeoutMs) => replica.transferLeader(peer, timeoutMs),
        [Symbol.asyncDispose]: () => {
          replica[Symbol.dispose]();
          return tunnel[Symbol.asyncDispose]();
        },
      };
    },
  };
}

function configOf({ kubeconfig, context }: ConnectionFlags): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PluginError(`the kubeconfig cannot be read: ${why}; name another with --kubeconfig`);
  }
  if (config.getCurrentCluster()?.server === UNCONFIGURED) {
    throw new PluginError('no kubeconfig is found: set KUBECONFIG, or name one with --kubeconfig');
  }
  if (context === undefined) return config;
  if (config.getContextObject(context) === null) {
    const names = config.getContexts().map(({ name }) => name);
    throw new PluginError(`there is no context ${context}: choose one of ${names.join(', ')}`);
  }
  config.setCurrentContext(context);
  return config;
}
