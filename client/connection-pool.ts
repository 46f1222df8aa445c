import type { ChannelOptions } from '@grpc/grpc-js';
import { connectivityState, credentials } from '@grpc/grpc-js';
import { AtomicServiceClient, MaintenanceServiceClient } from '../proto/gen/atomic/v1/atomic.ts';
import { CliServiceClient } from '../proto/gen/raft/v1/cli.ts';

const CHANNEL_OPTIONS: ChannelOptions = {
  // A server that comes back must be noticed within the failover time, not after seconds.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // A server that was moved has another address under its name.
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  // A server that froze still accepts connections; only silence gives it away.
  'grpc.keepalive_time_ms': 4_000,
  'grpc.keepalive_timeout_ms': 3_000,
  // Whether to repeat a call is decided in retry.ts alone.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  // Channels to one address would share an attempt to connect, and with it one that is stuck.
  'grpc.use_local_subchannel_pool': 1,
};

/** How long a first attempt to connect may take; each one given up doubles it, up to the last. */
const ATTEMPT_TIMEOUT_MS = { first: 1_000, last: 16_000 };

/** States that may still turn into a connection without another attempt. */
const AWAITED: ReadonlySet<connectivityState> = new Set([
  connectivityState.IDLE,
  connectivityState.CONNECTING,
]);

/** The services of one server, over one connection. */
export type Connection = {
  readonly address: string;
  readonly atomic: AtomicServiceClient;
  readonly cli: CliServiceClient;
  readonly maintenance: MaintenanceServiceClient;
};

type Pooled = {
  readonly connection: Connection;
  /** How long an attempt to connect may take. */
  attemptTimeoutMs: number;
  /** Since when it has been seen connecting, in ms of the monotonic clock. */
  connectingSince: number | undefined;
};

/** One connection to each address, opened at first use and kept. The pool owns them. */
export class ConnectionPool implements Disposable {
  readonly #pooled = new Map<string, Pooled>();

  /**
   * The connection to `host:port`; it may not be established yet. Ask anew for each call: an
   * attempt to connect that takes too long is given up for another one. grpc-js waits for it
   * without end, and one can be lost for good: the first packet to a Service that its node does not
   * know yet leaves untranslated, and connection tracking sends the repeated ones after it.
   */
  to(address: string): Connection {
    const known = this.#pooled.get(address);
    if (known !== undefined && !isStuck(known)) return known.connection;
    known?.connection.atomic.close();
    const connection = open(address);
    const { first, last } = ATTEMPT_TIMEOUT_MS;
    const attemptTimeoutMs =
      known === undefined ? first : Math.min(known.attemptTimeoutMs * 2, last);
    this.#pooled.set(address, { connection, attemptTimeoutMs, connectingSince: undefined });
    return connection;
  }

  /** Resolves with whether the address is connected within `timeoutMs`; a refusal is told at once. */
  reachable(address: string, timeoutMs: number): Promise<boolean> {
    const channel = this.to(address).atomic.getChannel();
    const deadline = Date.now() + timeoutMs;
    return new Promise((resolve) => {
      const look = (): void => {
        const state = channel.getConnectivityState(true);
        if (state === connectivityState.READY) resolve(true);
        else if (!AWAITED.has(state)) resolve(false);
        else {
          channel.watchConnectivityState(state, deadline, (error) => {
            if (error === undefined) look();
            else resolve(false);
          });
        }
      };
      look();
    });
  }

  [Symbol.dispose](): void {
    for (const { connection } of this.#pooled.values()) connection.atomic.close();
    this.#pooled.clear();
  }
}

function open(address: string): Connection {
  const insecure = credentials.createInsecure();
  const atomic = new AtomicServiceClient(address, insecure, CHANNEL_OPTIONS);
  const shared = { channelOverride: atomic.getChannel() };
  return {
    address,
    atomic,
    cli: new CliServiceClient(address, insecure, shared),
    maintenance: new MaintenanceServiceClient(address, insecure, shared),
  };
}

/** Notes its state; whether it was connecting at each look, for longer than an attempt may take. */
function isStuck(pooled: Pooled): boolean {
  const state = pooled.connection.atomic.getChannel().getConnectivityState(false);
  if (state === connectivityState.READY) pooled.attemptTimeoutMs = ATTEMPT_TIMEOUT_MS.first;
  if (state !== connectivityState.CONNECTING) pooled.connectingSince = undefined;
  else pooled.connectingSince ??= performance.now();
  const { connectingSince, attemptTimeoutMs } = pooled;
  return connectingSince !== undefined && performance.now() - connectingSince > attemptTimeoutMs;
}
