import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import type { Clock } from '../node/clock.ts';
import { RaftError } from '../error.ts';

/** Limits of a gRPC server. Durations are milliseconds and end in `Ms`. */
export type GrpcServerLimits = {
  /** Largest message taken in; peers send up to one frame or one large entry. */
  readonly receiveBytesMax: number;
  readonly sendBytesMax: number;
  /** Calls at once on one connection. */
  readonly concurrentStreamsMax: number;
  /** A connection is probed after being quiet this long, so that vanished clients are noticed. */
  readonly keepaliveTimeMs: number;
  /** Longer than any stall of a loop that is still alive. */
  readonly keepaliveTimeoutMs: number;
};

export const DEFAULT_GRPC_SERVER_LIMITS: GrpcServerLimits = {
  receiveBytesMax: 16_777_216,
  sendBytesMax: 16_777_216,
  concurrentStreamsMax: 1_000,
  keepaliveTimeMs: 20_000,
  keepaliveTimeoutMs: 20_000,
};

/** A server with our limits; services are added by the caller before `bindGrpcServer`. */
export function createGrpcServer(limits: Partial<GrpcServerLimits> = {}): Server {
  const all = { ...DEFAULT_GRPC_SERVER_LIMITS, ...limits };
  // grpc-js prints to standard error by itself what reaches us as errors anyway.
  setLogVerbosity(logVerbosity.NONE);
  return new Server({
    'grpc.max_receive_message_length': all.receiveBytesMax,
    'grpc.max_send_message_length': all.sendBytesMax,
    'grpc.max_concurrent_streams': all.concurrentStreamsMax,
    'grpc.keepalive_time_ms': all.keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': all.keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
  });
}

/**
 * Listens at `host:port` and starts to serve; resolves with the port.
 *
 * @throws RaftError EBUSY when the port is taken, EINVAL when the address cannot be used.
 */
export async function bindGrpcServer(server: Server, address: string): Promise<number> {
  const bound = Promise.withResolvers<number>();
  server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) bound.resolve(port);
    else bound.reject(bindErrorOf(error, address));
  });
  return bound.promise;
}

/**
 * Takes no new calls and waits for the running ones; what still runs after `graceMs` is ended.
 * Streams between peers never end by themselves: close the transport first.
 */
export async function closeGrpcServer(
  server: Server,
  { graceMs, clock }: { readonly graceMs: number; readonly clock: Pick<Clock, 'after'> },
): Promise<void> {
  const drained = Promise.withResolvers<undefined>();
  const cancel = clock.after(graceMs, () => {
    server.forceShutdown();
    drained.resolve(undefined);
  });
  server.tryShutdown(() => {
    drained.resolve(undefined);
  });
  await drained.promise;
  cancel();
}

function bindErrorOf(error: Error, address: string): RaftError {
  if (/EADDRINUSE|address already in use/i.test(error.message)) {
    const advice = 'stop the program that uses it or choose another port';
    return new RaftError('EBUSY', `cannot listen at ${address}: the port is in use; ${advice}`);
  }
  return new RaftError('EINVAL', `cannot listen at ${address}: ${error.message}`, { cause: error });
}
