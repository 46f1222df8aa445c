import type {
  handleUnaryCall,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  AtomicServiceService,
  MaintenanceServiceService,
  OutcomeDetail,
  OutcomeDetail_Outcome,
  type BackupResponse,
  type BatchResult,
  type OperationBatch,
  type SessionRequest,
  type SessionResponse,
} from '../../proto/gen/atomic/v1/atomic.ts';
import { CliServiceService, type GetStatusResponse } from '../../proto/gen/raft/v1/cli.ts';

/** What the server does with one batch. */
export type Reply =
  | { readonly type: 'apply' }
  /** Does it, but answers that the outcome is unknown. */
  | { readonly type: 'applyThenUnknown' }
  /** Does it, then ends the connection instead of answering. */
  | { readonly type: 'applyThenBreak' }
  | { readonly type: 'break' }
  | { readonly type: 'silence' }
  | { readonly type: 'fail'; readonly failure: Partial<OutcomeDetail> };

export type FakeServerOptions = {
  readonly port: number;
  /** Decides on every batch; default: apply. */
  readonly script?: (batch: OperationBatch) => Reply;
  /** What GetLeader answers; undefined: "unknown leader". Default: itself. */
  readonly leader?: () => string | undefined;
  /** What ListPeers answers. Default: itself. */
  readonly peers?: () => readonly string[];
  /** Shared by the servers of one fake group. */
  readonly state?: FakeState;
};

/** The replicated part of a fake group: counters, and the answers of exactly-once sessions. */
export class FakeState {
  readonly values = new Map<bigint, bigint>();
  readonly answers = new Map<string, { statuses: Uint8Array; oldValues: Uint8Array }>();
  readonly sessions = new Set<number>();
  nextSession = 1;

  apply(batch: OperationBatch): { statuses: Uint8Array; oldValues: Uint8Array } {
    const id = batch.firstWriteId;
    const key = id === undefined ? undefined : `${id.sessionId}/${id.serial}`;
    const stored = key === undefined ? undefined : this.answers.get(key);
    if (stored !== undefined) return stored;
    const answer = this.#execute(batch);
    if (key !== undefined) this.answers.set(key, answer);
    return answer;
  }

  #execute(batch: OperationBatch): { statuses: Uint8Array; oldValues: Uint8Array } {
    const { kinds } = batch;
    const statuses = new Uint8Array(kinds.length);
    const oldValues = new Uint8Array(kinds.length * 8);
    const column = new DataView(oldValues.buffer);
    for (const [at, kind] of kinds.entries()) {
      const id = int64At(batch.ids, at);
      const old = this.values.get(id) ?? 0n;
      column.setBigInt64(at * 8, old, true);
      const matches = kind !== 3 || int64At(batch.expectedValues, at) === old;
      statuses[at] = matches ? 1 : 2;
      if (kind !== 1 && matches) this.values.set(id, int64At(batch.newValues, at));
    }
    return { statuses, oldValues };
  }
}

/** A gRPC server of the atomic, maintenance and CLI services whose behaviour a test decides. */
export class FakeAtomicServer implements AsyncDisposable {
  readonly port: number;
  readonly state: FakeState;
  /** Every Session message, as received. */
  readonly messages: SessionRequest[] = [];
  /** Every admin call: method and request. */
  readonly adminCalls: { readonly method: string; readonly request: unknown }[] = [];
  /** What admin methods answer, by method name; default: an empty response. */
  readonly adminReplies = new Map<string, (request: unknown) => AdminReply>();
  backup: readonly BackupResponse[] = [];
  sessionsOpened = 0;
  leaderQuestions = 0;
  script: (batch: OperationBatch) => Reply;
  leader: () => string | undefined;
  peers: () => readonly string[];
  readonly #server: Server;
  readonly #streams = new Set<ServerDuplexStream<SessionRequest, SessionResponse>>();

  private constructor(options: FakeServerOptions) {
    this.port = options.port;
    this.state = options.state ?? new FakeState();
    this.script = options.script ?? (() => ({ type: 'apply' }));
    this.leader = options.leader ?? (() => this.peerId);
    this.peers = options.peers ?? (() => [this.peerId]);
    this.#server = new Server();
    this.#addServices();
  }

  static async start(options: FakeServerOptions): Promise<FakeAtomicServer> {
    const fake = new FakeAtomicServer(options);
    await new Promise<void>((resolve, reject) => {
      const where = `127.0.0.1:${options.port}`;
      fake.#server.bindAsync(where, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return fake;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get peerId(): string {
    return `${this.address}:0:0`;
  }

  /** Every batch received so far. */
  get batches(): OperationBatch[] {
    return this.messages.flatMap((message) => message.batches);
  }

  /** Breaks all Session streams; the server goes on. */
  breakStreams(): void {
    for (const stream of this.#streams) stream.emit('error', BROKEN);
  }

  /** Ends all Session streams with a status that carries a detail. */
  endStreams(detail: Partial<OutcomeDetail>): void {
    for (const stream of this.#streams) stream.emit('error', serviceError(detail));
  }

  /** Drops all connections and stops listening. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    return Promise.resolve();
  }

  #addServices(): void {
    const unary = { get: notHere, exchange: notHere, compareExchange: notHere };
    this.#server.addService(AtomicServiceService, {
      ...unary,
      session: (stream: ServerDuplexStream<SessionRequest, SessionResponse>) => {
        this.#serve(stream);
      },
      registerSession: (_call: unknown, done: sendUnaryData<{ sessionId: number }>) => {
        const sessionId = this.state.nextSession++;
        this.state.sessions.add(sessionId);
        done(null, { sessionId });
      },
    });
    this.#server.addService(MaintenanceServiceService, {
      getStateHash: notHere,
      backup: (call: { write: (chunk: BackupResponse) => void; end: () => void }) => {
        for (const chunk of this.backup) call.write(chunk);
        call.end();
      },
    });
    const admin = ADMIN_METHODS.map((method) => [method, this.#admin(method)] as const);
    const services: UntypedServiceImplementation = {
      ...Object.fromEntries<handleUnaryCall<unknown, unknown>>(admin),
      getLeader: (_call: unknown, done: sendUnaryData<{ leaderId: string; members: string[] }>) => {
        this.leaderQuestions += 1;
        const leaderId = this.leader();
        if (leaderId !== undefined) done(null, { leaderId, members: [] });
        else done(adminError({ code: 'EAGAIN', number: 11, message: 'Unknown leader' }));
      },
    };
    this.#server.addService(CliServiceService, services);
  }

  #admin(method: (typeof ADMIN_METHODS)[number]): handleUnaryCall<unknown, unknown> {
    return (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
      this.adminCalls.push({ method, request: call.request });
      const reply = this.adminReplies.get(method)?.(call.request) ?? this.#defaultAdmin(method);
      if (reply.error !== undefined) done(adminError(reply.error));
      else done(null, reply.response);
    };
  }

  #defaultAdmin(method: string): AdminReply {
    const peers = [...this.peers()];
    const none = { outgoingPeers: [], learners: [], followers: [] };
    if (method === 'listPeers') {
      return {
        response: { peers, ...none, configurationIndex: 1, leaderId: this.leader() ?? '' },
      };
    }
    if (method !== 'getStatus') return { response: { oldPeers: peers, newPeers: peers } };
    return {
      response: { ...STATUS, ...none, peers, peerId: this.peerId, leaderId: this.leader() ?? '' },
    };
  }

  #serve(stream: ServerDuplexStream<SessionRequest, SessionResponse>): void {
    this.sessionsOpened += 1;
    this.#streams.add(stream);
    stream.on('data', (message: SessionRequest) => {
      this.messages.push(message);
      const results: BatchResult[] = [];
      for (const batch of message.batches) {
        const reply = this.script(batch);
        if (reply.type === 'break' || reply.type === 'applyThenBreak') {
          if (reply.type === 'applyThenBreak') this.state.apply(batch);
          stream.emit('error', BROKEN);
          return;
        }
        const result = this.#resultOf(batch, reply);
        if (result !== undefined) results.push(result);
      }
      if (results.length > 0) stream.write({ results });
    });
    stream.on('end', () => {
      stream.end();
    });
    stream.on('close', () => {
      this.#streams.delete(stream);
    });
  }

  #resultOf(batch: OperationBatch, reply: Reply): BatchResult | undefined {
    const { number } = batch;
    const empty = { number, statuses: new Uint8Array(0), oldValues: new Uint8Array(0) };
    if (reply.type === 'apply') return { number, ...this.state.apply(batch) };
    if (reply.type === 'fail') return { ...empty, failure: detailOf(reply.failure) };
    if (reply.type !== 'applyThenUnknown') return undefined;
    this.state.apply(batch);
    const failure = detailOf({
      outcome: OutcomeDetail_Outcome.OUTCOME_UNKNOWN,
      status: status.UNKNOWN,
      reason: 'ERAFTTIMEDOUT',
    });
    return { ...empty, failure };
  }
}

export type AdminReply =
  | { readonly response: object; readonly error?: undefined }
  | {
      readonly error: { readonly code: string; readonly number: number; readonly message: string };
    };

/** An end of the stream that says nothing of what was done, as from a proxy. */
const BROKEN = { code: status.UNAVAILABLE, details: 'connection dropped' };

const STATUS: Omit<
  GetStatusResponse,
  'peerId' | 'leaderId' | 'peers' | 'outgoingPeers' | 'learners' | 'followers'
> = {
  state: 'LEADER',
  term: 3,
  readonly: false,
  committedIndex: 12,
  knownAppliedIndex: 11,
  firstIndex: 1,
  lastIndex: 12,
  diskIndex: 12,
  snapshotIndex: 0,
  incarnation: 'i-1',
  lineage: 'l-1',
  clusterId: 'c-1',
  joined: true,
  configurationIndex: 1,
  committedConfigurationIndex: 1,
  fence: 0,
  version: 'fake',
  formatVersion: 1,
};

const ADMIN_METHODS = [
  'addPeer',
  'removePeer',
  'changePeers',
  'resetPeer',
  'snapshot',
  'transferLeader',
  'listPeers',
  'getStatus',
  'addLearner',
  'removeLearner',
  'promoteLearner',
  'claimOperator',
  'campaign',
  'setReadonly',
] as const;

/** A refusal that happened before anything was proposed. */
export function notProposed(failure: Partial<OutcomeDetail>): Reply {
  const outcome = OutcomeDetail_Outcome.OUTCOME_NOT_PROPOSED;
  return { type: 'fail', failure: { outcome, status: status.FAILED_PRECONDITION, ...failure } };
}

function notHere(_call: unknown, done: sendUnaryData<never>): void {
  done({ code: status.UNIMPLEMENTED, details: 'the fake server only knows sessions' });
}

function adminError(error: { code: string; number: number; message: string }) {
  const metadata = new Metadata();
  metadata.set('raft-error', error.code);
  metadata.set('raft-error-number', String(error.number));
  return { code: status.FAILED_PRECONDITION, details: error.message, metadata };
}

function serviceError(detail: Partial<OutcomeDetail>) {
  const metadata = new Metadata();
  const bytes = OutcomeDetail.encode(detailOf(detail)).finish();
  metadata.set('atomic-outcome-bin', Buffer.from(bytes));
  return Object.assign(new Error('the server stops'), {
    code: status.UNAVAILABLE,
    details: 'the server stops',
    metadata,
  });
}

function detailOf(detail: Partial<OutcomeDetail>): OutcomeDetail {
  return {
    outcome: OutcomeDetail_Outcome.OUTCOME_UNSPECIFIED,
    status: status.UNKNOWN,
    message: 'scripted failure',
    reason: '',
    leader: undefined,
    ...detail,
  };
}

function int64At(column: Uint8Array, at: number): bigint {
  return new DataView(column.buffer, column.byteOffset).getBigInt64(at * 8, true);
}
