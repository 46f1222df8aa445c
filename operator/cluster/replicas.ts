import { ReplicaClient, type ReplicaStatus } from '../../client/index.ts';
import { GROUP, PORTS } from '../resources/names.ts';

const STATUS_TIMEOUT_MS = 1_000;
const CONFIRM_TIMEOUT_MS = 2_000;

/** One server, as the operator calls it. */
export type Replica = Pick<ReplicaClient, keyof ReplicaClient>;

/** Makes what calls the server at `host:port`; the secret is asked for at every call. */
export type ConnectReplica = (address: string, authSecret: () => string) => Replica;

export const connectReplica: ConnectReplica = (address, authSecret) =>
  new ReplicaClient({ address, group: GROUP, authSecret });

/** `host:port` of the server in the pod with this address. */
export function addressOf(ip: string): string {
  return `${ip.includes(':') ? `[${ip}]` : ip}:${String(PORTS.grpc)}`;
}

/** The servers of one cluster by their pods' addresses. Owns the connections. */
export class Replicas implements Disposable {
  readonly #clients = new Map<string, Replica>();
  readonly #connect: (address: string) => Replica;

  constructor(connect: (address: string) => Replica) {
    this.#connect = connect;
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
    const client = this.#connect(addressOf(ip));
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
