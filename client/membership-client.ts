import type { ClientUnaryCall, Metadata as GrpcMetadata, ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type {
  BootstrapResponse,
  ChangeGuard,
  CliServiceClient,
  GetLeaderResponse,
  GetStatusResponse,
  ListPeersResponse,
} from '../proto/gen/raft/v1/cli.ts';
import type { PeerId } from '../server/raft/core/ids.ts';
import { ANY_PEER, parsePeerId, parsePeers, peerAddress } from '../server/raft/core/peer-id.ts';
import { SECRET_METADATA, SecretFile } from '../server/raft/transport/secret-file.ts';
import { ConnectionPool } from './connection-pool.ts';
import { MembershipError } from './membership-error.ts';
import { backoffMs } from './retry.ts';
import { samePeer } from './route-table.ts';

export type MembershipClientOptions = {
  readonly group: string;
  /** Peers of the group, comma separated: where to look for the leader. */
  readonly conf: string;
  /** For one call to one server; -1, as in braft: no limit. */
  readonly timeoutMs?: number;
  /** How often a call is repeated after a failure that certainly changed nothing (braft max_retry). */
  readonly maxRetry?: number;
  /** File with the secret of the cluster, as its servers have it; read again when it changes. */
  readonly authSecretFile?: string;
  /** In place of a file: called for the secret before each call. */
  readonly authSecret?: () => string;
};

/** The voters before and after a change. */
export type MembershipChange = {
  readonly oldPeers: readonly string[];
  readonly newPeers: readonly string[];
};

/** Guards of a change; see ChangeGuard in cli.proto. */
export type Guard = {
  readonly expectedConfigurationIndex?: number;
  readonly fence?: number;
  /** A repeat with the same id returns the first result and changes nothing. */
  readonly operationId?: string;
};

export type MemberStatus = GetStatusResponse;
export type MemberList = ListPeersResponse;

type Answer<T> = (error: ServiceError | null, response: T) => void;
type Call<T> = (
  cli: CliServiceClient,
  metadata: GrpcMetadata,
  options: { deadline?: number },
  answer: Answer<T>,
) => ClientUnaryCall;

const ERRORS = {
  EAGAIN: 11,
  EINVAL: 22,
  ETIMEDOUT: 110,
  EHOSTDOWN: 112,
} as const;

/** How long one member may take to say who leads. */
const QUESTION_TIMEOUT_MS = 1_000;

/**
 * Administration of one group: braft's cli functions (add_peer, change_peers, ...) and what they
 * lack. Methods reject with MembershipError.
 */
export class MembershipClient implements AsyncDisposable {
  readonly #pool = new ConnectionPool();
  readonly #group: string;
  readonly #conf: readonly PeerId[];
  readonly #timeoutMs: number;
  readonly #maxRetry: number;
  readonly #secret: (() => string) | undefined;

  /** @throws MembershipError EINVAL for an unreadable conf or secret file. */
  constructor(options: MembershipClientOptions) {
    this.#group = options.group;
    this.#conf = [...peersOf('conf', options.conf)];
    this.#timeoutMs = options.timeoutMs ?? -1;
    this.#maxRetry = options.maxRetry ?? 3;
    this.#secret = options.authSecret ?? secretFrom(options.authSecretFile ?? '');
  }

  /** The leader, as the members name it: the word of one that names itself counts most. */
  async getLeader(): Promise<PeerId> {
    if (this.#conf.length === 0) throw invalid('conf: no peer is given to ask for the leader');
    const answers = await Promise.allSettled(this.#conf.map((peer) => this.#leaderAt(peer)));
    const named = answers.flatMap((answer, at) => {
      if (answer.status === 'rejected') return [];
      const asked = this.#conf[at];
      return [{ leader: answer.value, self: asked !== undefined && samePeer(answer.value, asked) }];
    });
    const leader = (named.find(({ self }) => self) ?? named.at(-1))?.leader;
    if (leader !== undefined) return leader;
    const reasons = answers.map((answer, at) =>
      answer.status === 'rejected' ? `${this.#conf[at] ?? ''}: ${messageOf(answer.reason)}` : '',
    );
    throw new MembershipError('EAGAIN', `no member knows a leader (${reasons.join('; ')})`, {
      number: ERRORS.EAGAIN,
      outcome: 'notProposed',
    });
  }

  async addPeer(peer: string, guard?: Guard): Promise<MembershipChange> {
    const peerId = peerOf('peer', peer);
    return this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.addPeer({ ...this.#to(leaderId, guard), peerId }, metadata, options, answer),
    );
  }

  async removePeer(peer: string, guard?: Guard): Promise<MembershipChange> {
    const peerId = peerOf('peer', peer);
    return this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.removePeer({ ...this.#to(leaderId, guard), peerId }, metadata, options, answer),
    );
  }

  /** Makes `newPeers` (comma separated) the voters, by joint consensus. */
  async changePeers(newPeers: string, guard?: Guard): Promise<MembershipChange> {
    const peers = someOf('new_peers', newPeers);
    return this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.changePeers(
          { ...this.#to(leaderId, guard), newPeers: peers },
          metadata,
          options,
          answer,
        ),
    );
  }

  async addLearner(peer: string, guard?: Guard): Promise<void> {
    const peerId = peerOf('peer', peer);
    await this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.addLearner({ ...this.#to(leaderId, guard), peerId }, metadata, options, answer),
    );
  }

  async removeLearner(peer: string, guard?: Guard): Promise<void> {
    const peerId = peerOf('peer', peer);
    await this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.removeLearner({ ...this.#to(leaderId, guard), peerId }, metadata, options, answer),
    );
  }

  async promoteLearner(peer: string, guard?: Guard): Promise<void> {
    const peerId = peerOf('peer', peer);
    await this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.promoteLearner({ ...this.#to(leaderId, guard), peerId }, metadata, options, answer),
    );
  }

  /** Same members, a new fencing token: calls with a lower one are refused from then on. */
  async claimOperator(guard: Guard): Promise<void> {
    await this.#change(
      (cli, leaderId) => (metadata, options, answer) =>
        cli.claimOperator(this.#to(leaderId, guard), metadata, options, answer),
    );
  }

  /** Hands leadership to `peer` (default: the most up-to-date follower); resolves once begun. */
  async transferLeader(peer: string = ANY_PEER): Promise<void> {
    const peerId = peerOf('peer', peer);
    await this.#change((cli, leaderId) => (metadata, options, answer) => {
      const request = { groupId: this.#group, leaderId, peerId };
      return cli.transferLeader(request, metadata, options, answer);
    });
  }

  /** Gives one member a new set of peers without asking the group. Loses what others had not sent. */
  async resetPeer(peer: string, newPeers: string): Promise<void> {
    const peerId = peerOf('peer', peer);
    const peers = someOf('new_peers', newPeers);
    await this.#callAt(peerId, (cli, metadata, options, answer) => {
      const request = { groupId: this.#group, peerId, oldPeers: [], newPeers: peers };
      return cli.resetPeer(request, metadata, options, answer);
    });
  }

  /** Takes a snapshot at one member; resolves when it is finished. */
  async snapshot(peer: string): Promise<void> {
    const at = this.#at(peer);
    await this.#callAt(at.peerId, (cli, metadata, options, answer) =>
      cli.snapshot(at, metadata, options, answer),
    );
  }

  /** Makes one member campaign now, in spite of a healthy leader (braft vote). */
  async vote(peer: string, electionTimeoutMs = 0): Promise<void> {
    const at = this.#at(peer);
    await this.#callAt(at.peerId, (cli, metadata, options, answer) =>
      cli.campaign({ ...at, electionTimeoutMs }, metadata, options, answer),
    );
  }

  async setReadonly(peer: string, readonly: boolean): Promise<void> {
    const at = this.#at(peer);
    await this.#callAt(at.peerId, (cli, metadata, options, answer) =>
      cli.setReadonly({ ...at, readonly }, metadata, options, answer),
    );
  }

  /** With `linearizable` only a leader answers that a quorum has confirmed since the call came. */
  async getStatus(
    peer: string,
    { linearizable = false }: { readonly linearizable?: boolean } = {},
  ): Promise<MemberStatus> {
    const at = this.#at(peer);
    return this.#callAt(at.peerId, (cli, metadata, options, answer) =>
      cli.getStatus({ ...at, linearizable }, metadata, options, answer),
    );
  }

  /**
   * Makes a server with an empty disk the only voter of a new group; resolves with the incarnation
   * of the disk. Repeating it with the same cluster id is harmless.
   */
  async bootstrap(peer: string, clusterId: string): Promise<string> {
    const at = this.#at(peer);
    const { incarnation } = await this.#callAt<BootstrapResponse>(
      at.peerId,
      (cli, metadata, options, answer) =>
        cli.bootstrap({ ...at, clusterId }, metadata, options, answer),
    );
    return incarnation;
  }

  /**
   * Lets a server that the group has removed set its data aside and start again with an empty disk.
   * Resolves when that is certain to happen; its supervisor has to start it again.
   */
  async joinFresh(peer: string, oldIncarnation: string): Promise<void> {
    const at = this.#at(peer);
    await this.#callAt(at.peerId, (cli, metadata, options, answer) =>
      cli.joinFresh({ ...at, oldIncarnation }, metadata, options, answer),
    );
  }

  /** The members, as the leader knows them. */
  async listPeers(): Promise<MemberList> {
    const leader = await this.getLeader();
    return this.#callAt(leader, (cli, metadata, options, answer) =>
      cli.listPeers({ groupId: this.#group, peerId: leader }, metadata, options, answer),
    );
  }

  close(): Promise<void> {
    this.#pool[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #at(peer: string) {
    return { groupId: this.#group, peerId: peerOf('peer', peer) };
  }

  #to(
    leaderId: PeerId,
    guard: Guard | undefined,
  ): {
    groupId: string;
    leaderId: string;
    guard: ChangeGuard | undefined;
  } {
    return {
      groupId: this.#group,
      leaderId,
      guard: guard === undefined ? undefined : { ...guard },
    };
  }

  async #leaderAt(peer: PeerId): Promise<PeerId> {
    const { leaderId } = await this.#callOnce<GetLeaderResponse>(
      peer,
      QUESTION_TIMEOUT_MS,
      (cli, ...rest) => cli.getLeader({ groupId: this.#group }, ...rest),
    );
    return peerOf('leader', leaderId);
  }

  /** A call to the leader, wherever it is; repeated only while nothing was changed. */
  async #change<T>(
    prepare: (
      cli: CliServiceClient,
      leader: PeerId,
    ) => (
      metadata: GrpcMetadata,
      options: { deadline?: number },
      answer: Answer<T>,
    ) => ClientUnaryCall,
  ): Promise<T> {
    return this.#repeatedly(async () => {
      const leader = await this.getLeader();
      return this.#callOnce<T>(leader, this.#timeoutMs, (cli, ...rest) =>
        prepare(cli, leader)(...rest),
      );
    });
  }

  async #callAt<T>(peer: PeerId, call: Call<T>): Promise<T> {
    return this.#repeatedly(() => this.#callOnce(peer, this.#timeoutMs, call));
  }

  async #repeatedly<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (failures > this.#maxRetry || !isTransient(error)) throw error;
        const pauseMs = 10 * backoffMs(failures, Math.random());
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  #callOnce<T>(peer: PeerId, timeoutMs: number, call: Call<T>): Promise<T> {
    const { cli } = this.#pool.to(peerAddress(peer));
    const options = timeoutMs < 0 ? {} : { deadline: Date.now() + timeoutMs };
    const metadata = new Metadata();
    if (this.#secret !== undefined) metadata.set(SECRET_METADATA, this.#secret());
    return new Promise((resolve, reject) => {
      call(cli, metadata, options, (error, response) => {
        if (error === null) resolve(response);
        else reject(errorOf(error, peer));
      });
    });
  }
}

function secretFrom(path: string): (() => string) | undefined {
  if (path === '') return undefined;
  try {
    const file = new SecretFile(path, { now: () => performance.now() });
    return () => file.current();
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

/** Failures that pass and that certainly changed nothing. EBUSY waits for nobody: it is an answer. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof MembershipError) || error.outcome === 'unknown') return false;
  return ['EAGAIN', 'EPERM', 'EHOSTDOWN'].includes(error.code);
}

function errorOf(error: ServiceError, peer: PeerId): MembershipError {
  const [code] = error.metadata.get('raft-error');
  const [number] = error.metadata.get('raft-error-number');
  if (typeof code === 'string') {
    // What the Raft library refused was not done, unless the change itself was lost on the way.
    const outcome = error.code === status.UNKNOWN ? 'unknown' : 'notProposed';
    const details = { number: Number(number ?? 0), outcome, cause: error } as const;
    return new MembershipError(code, error.details, details);
  }
  if (error.code === status.UNAVAILABLE && /connect|resolve/i.test(error.details)) {
    const message = `${peerAddress(peer)} cannot be reached`;
    const details = { number: ERRORS.EHOSTDOWN, outcome: 'notProposed', cause: error } as const;
    return new MembershipError('EHOSTDOWN', message, details);
  }
  const timedOut = error.code === status.DEADLINE_EXCEEDED;
  const name = timedOut ? 'ETIMEDOUT' : status[error.code];
  const text = timedOut ? 'no answer in time' : error.details;
  return new MembershipError(name, `${peerAddress(peer)}: ${text}`, {
    number: timedOut ? ERRORS.ETIMEDOUT : error.code,
    outcome: 'unknown',
    cause: error,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function peerOf(name: string, text: string): PeerId {
  const parsed = parsePeerId(text);
  if (parsed.ok) return parsed.peer;
  throw invalid(`${name}: ${parsed.reason}`);
}

function peersOf(name: string, text: string): ReadonlySet<PeerId> {
  const parsed = parsePeers(text);
  if (parsed.ok) return parsed.peers;
  throw invalid(`${name}: ${parsed.reason}`);
}

function someOf(name: string, text: string): PeerId[] {
  const peers = peersOf(name, text);
  if (peers.size === 0) throw invalid(`${name}: the list of peers is empty`);
  return [...peers];
}

function invalid(message: string): MembershipError {
  return new MembershipError('EINVAL', message, { number: ERRORS.EINVAL, outcome: 'notProposed' });
}
