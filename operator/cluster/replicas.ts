import { ReplicaClient, type ReplicaStatus } from '../../client/index.ts';
import { GROUP, PORTS } from '../resources/names.ts';

const STATUS_TIMEOUT_MS = 1_000;
const CONFIRM_TIMEOUT_MS = 2_000;

/** What is asked of one server. */
export type Replica = Disposable &
  Pick<
    ReplicaClient,
    'status' | 'bootstrap' | 'joinFresh' | 'claimOperator' | 'changePeers' | 'transferLeader'
  >;

/** Opens a connection to the server in the pod with this address. */
export type ConnectReplica = (ip: string, authSecret: () => string) => Replica;

export const connectReplica: ConnectReplica = (ip, authSecret) => {
  const address = `${ip.includes(':') ? `[${ip}]` : ip}:${String(PORTS.grpc)}`;
  return new ReplicaClient({ address, group: GROUP, authSecret });
};

/** The servers of one cluster by their pods' addresses. Owns the connections. */
export class Replicas implements Disposable {
  readonly #clients = new Map<string, Replica>();
  readonly #connect: ConnectReplica;
  readonly #authSecret: () => string;

  constructor(connect: ConnectReplica, authSecret: () => string) {
    this.#connect = connect;
    this.#authSecret = authSecret;
  }

  /** What the server at `ip` says of itself; undefined when it does not answer. */
  async status(ip: string): Promise<ReplicaStatus | undefined> {
    try {
      return await this.at(ip).status({ linearizable: false, timeoutMs: STATUS_TIMEOUT_MS });
    } catch {
      // Silence is an observation: the plan decides what follows from it.
      return undefined;
    }
  }

  /** As `status`, by a leader that a quorum has just confirmed; undefined from anybody else. */
  async confirmed(ip: string): Promise<ReplicaStatus | undefined> {
    try {
      return await this.at(ip).status({ linearizable: true, timeoutMs: CONFIRM_TIMEOUT_MS });
    } catch {
      // As above.
      return undefined;
    }
  }

  at(ip: string): Replica {
    const known = this.#clients.get(ip);
    if (known !== undefined) return known;
    const client = this.#connect(ip, this.#authSecret);
    this.#clients.set(ip, client);
    return client;
  }

  /** Forgets servers whose pods are gone. */
  keepOnly(ips: ReadonlySet<string>): void {
    for (const [ip, client] of this.#clients) {
      if (ips.has(ip)) continue;
      client[Symbol.dispose]();
      this.#clients.delete(ip);
    }
  }

  [Symbol.dispose](): void {
    this.keepOnly(new Set());
  }
}
