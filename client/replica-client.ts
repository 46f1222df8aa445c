import type { ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { ChangeGuard, CliServiceClient, GetStatusResponse } from '../proto/gen/raft/v1/cli.ts';
import { SECRET_METADATA } from '../server/raft/transport/secret-file.ts';
import { ConnectionPool } from './connection-pool.ts';
import { MembershipError } from './membership-error.ts';

export type ReplicaClientOptions = {
  /** `host:port` of the one server that is called. */
  readonly address: string;
  readonly group: string;
  /** The secret of the cluster; asked for at every call. */
  readonly authSecret: () => string;
};

export type ReplicaStatus = GetStatusResponse;

/** Guards of a change; see ChangeGuard in cli.proto. */
export type ReplicaGuard = Readonly<ChangeGuard>;

type Options = { readonly deadline: number };
type Answer<T> = (error: ServiceError | null, response: T) => void;

/**
 * Administration of one server by its address, for those who know where each member is. It repeats
 * nothing and looks for nobody. Methods reject with MembershipError; `timeoutMs` bounds a call.
 */
export class ReplicaClient implements Disposable {
  readonly #pool = new ConnectionPool();
  readonly #address: string;
  readonly #groupId: string;
  readonly #authSecret: () => string;

  constructor({ address, group, authSecret }: ReplicaClientOptions) {
    this.#address = address;
    this.#groupId = group;
    this.#authSecret = authSecret;
  }

  /**
   * What the server says of its disk. `linearizable`: only as a leader that a quorum has just
   * confirmed, otherwise rejected with EPERM.
   */
  status(options: {
    readonly linearizable: boolean;
    readonly timeoutMs: number;
  }): Promise<ReplicaStatus> {
    const { linearizable, timeoutMs } = options;
    const request = { groupId: this.#groupId, linearizable };
    return this.#call(timeoutMs, (...rest) => this.#cli.getStatus(request, ...rest));
  }

  /** Makes its empty disk the only voter of a new group. */
  async bootstrap(peerId: string, clusterId: string, timeoutMs: number): Promise<void> {
    const request = { groupId: this.#groupId, peerId, clusterId };
    await this.#call(timeoutMs, (...rest) => this.#cli.bootstrap(request, ...rest));
  }

  /** Puts the data of a removed member aside; the server then starts again. */
  async joinFresh(peerId: string, oldIncarnation: string, timeoutMs: number): Promise<void> {
    const request = { groupId: this.#groupId, peerId, oldIncarnation };
    await this.#call(timeoutMs, (...rest) => this.#cli.joinFresh(request, ...rest));
  }

  /** A new fencing token; only a leader takes it. */
  async claimOperator(guard: ReplicaGuard, timeoutMs: number): Promise<void> {
    const request = { groupId: this.#groupId, leaderId: '', guard };
    await this.#call(timeoutMs, (...rest) => this.#cli.claimOperator(request, ...rest));
  }

  /** Makes `newPeers` the voters, by joint consensus; only a leader does it. */
  async changePeers(
    newPeers: readonly string[],
    guard: ReplicaGuard,
    timeoutMs: number,
  ): Promise<void> {
    const request = { groupId: this.#groupId, leaderId: '', newPeers: [...newPeers], guard };
    await this.#call(timeoutMs, (...rest) => this.#cli.changePeers(request, ...rest));
  }

  /** Hands leadership to `peerId`; resolves once begun. */
  async transferLeader(peerId: string, timeoutMs: number): Promise<void> {
    const request = { groupId: this.#groupId, leaderId: '', peerId };
    await this.#call(timeoutMs, (...rest) => this.#cli.transferLeader(request, ...rest));
  }

  [Symbol.dispose](): void {
    this.#pool[Symbol.dispose]();
  }

  get #cli(): CliServiceClient {
    return this.#pool.to(this.#address).cli;
  }

  #call<T>(
    timeoutMs: number,
    start: (metadata: Metadata, options: Options, answer: Answer<T>) => ClientUnaryCall,
  ): Promise<T> {
    const metadata = new Metadata();
    metadata.set(SECRET_METADATA, this.#authSecret());
    return new Promise((resolve, reject) => {
      start(metadata, { deadline: Date.now() + timeoutMs }, (error, response) => {
        if (error === null) resolve(response);
        else reject(errorOf(error));
      });
    });
  }
}

function errorOf(error: ServiceError): MembershipError {
  const [code] = error.metadata.get('raft-error');
  const [number] = error.metadata.get('raft-error-number');
  // What the Raft library refused was not done, unless the change itself was lost on the way.
  const refused = typeof code === 'string' && error.code !== status.UNKNOWN;
  return new MembershipError(typeof code === 'string' ? code : status[error.code], error.details, {
    number: Number(number ?? error.code),
    outcome: refused ? 'notProposed' : 'unknown',
    cause: error,
  });
}
