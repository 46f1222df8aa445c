// A process with an API server in memory and the servers of all pods, which main.ts of the operator's
// measurement starts: what they cost is not counted there.
import { Server, ServerCredentials, status, type handleUnaryCall } from '@grpc/grpc-js';
import type { KubernetesApi } from '../../operator/controller/api-client.ts';
import { ApiError } from '../../operator/controller/api-error.ts';
import { systemClock } from '../../operator/controller/clock.ts';
import type { Replica } from '../../operator/cluster/replicas.ts';
import {
  CliServiceService,
  type BootstrapRequest,
  type ChangePeersRequest,
  type ClaimOperatorRequest,
  type GetStatusRequest,
} from '../../proto/gen/raft/v1/cli.ts';
import { FakeKubernetes } from '../support/operator/fake-kubernetes.ts';

/** What may be called from outside, by the names of KubernetesApi and of FakeKubernetes. */
export type Call = {
  readonly id: number;
  readonly method: keyof KubernetesApi | 'applyClusters' | 'progress';
  readonly args: readonly unknown[];
};

/** An answer, or one event of a watch. */
export type Reply = {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly code: number; readonly reason: string };
};

export type Progress = {
  readonly settled: number;
  readonly calls: number;
  readonly writes: number;
  readonly watches: number;
};

const TIMEOUT_MS = 1_000;
const kubernetes = new FakeKubernetes(systemClock);
const { api, members } = kubernetes;

function send(reply: Reply): void {
  process.send?.(reply);
}

function progress(): Progress {
  const { requests, writes } = api;
  const watches = requests.filter(({ verb }) => verb === 'watch').length;
  return { settled: kubernetes.settled(), calls: requests.length, writes: writes.length, watches };
}

async function watch(id: number, args: readonly unknown[]): Promise<undefined> {
  const [type, options] = args as Parameters<KubernetesApi['watch']>;
  const { signal } = new AbortController();
  for await (const result of api.watch(type, { ...options, signal })) send({ id, result });
  return undefined;
}

async function resultOf({ id, method, args }: Call): Promise<unknown> {
  if (method === 'progress') return progress();
  if (method === 'watch') return watch(id, args);
  if (method === 'applyClusters') {
    kubernetes.applyClusters(Number(args[0]));
    return undefined;
  }
  const serve = api[method].bind(api) as (...of: readonly unknown[]) => Promise<unknown>;
  return serve(...args);
}

process.on('message', (call: Call) => {
  const { id } = call;
  resultOf(call).then(
    (result) => {
      send({ id, result });
    },
    (error: unknown) => {
      const { code, reason } = error instanceof ApiError ? error : { code: 500, reason: '' };
      send({ id, error: { message: String(error), code, reason } });
    },
  );
});
process.on('disconnect', () => {
  process.exit(0);
});

/** Answers a call as the server that was called by its address. */
function answer<Q, R>(call: (replica: Replica, request: Q) => Promise<R>): handleUnaryCall<Q, R> {
  return (received, respond) => {
    const [ip = ''] = received.getHost().split(':');
    const replica = members.connect(ip, () => '');
    call(replica, received.request).then(
      (response) => {
        respond(null, response);
      },
      (error: unknown) => {
        respond({ code: status.FAILED_PRECONDITION, details: String(error) });
      },
    );
  };
}

const server = new Server();
server.addService(CliServiceService, {
  getStatus: answer((replica, { linearizable }: GetStatusRequest) =>
    replica.status({ linearizable, timeoutMs: TIMEOUT_MS }),
  ),
  bootstrap: answer(async (replica, { peerId, clusterId }: BootstrapRequest) => {
    await replica.bootstrap(peerId, clusterId, TIMEOUT_MS);
    return {};
  }),
  claimOperator: answer(async (replica, { guard = {} }: ClaimOperatorRequest) => {
    await replica.claimOperator(guard, TIMEOUT_MS);
    return {};
  }),
  changePeers: answer(async (replica, { newPeers, guard = {} }: ChangePeersRequest) => {
    await replica.changePeers(newPeers, guard, TIMEOUT_MS);
    return { oldPeers: [], newPeers: [...newPeers] };
  }),
});
server.bindAsync('0.0.0.0:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  send({ id: 0, result: port });
});
