import type { ChannelOptions } from '@grpc/grpc-js';
import { connectivityState, credentials } from '@grpc/grpc-js';
import { AtomicServiceClient, MaintenanceServiceClient } from '../proto/gen/atomic/v1/atomic.ts';
import { CliServiceClient } from '../proto/gen/raft/v1/cli.ts';

export const CHANNEL_OPTIONS: ChannelOptions = {
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
};

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

/** One connection to each address, opened at first use and kept. The pool owns them. */
export class ConnectionPool implements Disposable {
  readonly #connections = new Map<string, Connection>();

  /** The connection to `host:port`; it may not be established yet. */
  to(address: string): Connection {
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    const insecure = credentials.createInsecure();
    const atomic = new AtomicServiceClient(address, insecure, CHANNEL_OPTIONS);
    const shared = { channelOverride: atomic.getChannel() };
    const connection = {
      address,
      atomic,
      cli: new CliServiceClient(address, insecure, shared),
      maintenance: new MaintenanceServiceClient(address, insecure, shared),
    };
    this.#connections.set(address, connection);
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
    for (const { atomic } of this.#connections.values()) atomic.close();
    this.#connections.clear();
  }
}
