import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { CliServiceClient, CliServiceService } from '../../../../proto/gen/raft/v1/cli.ts';
import { Incarnation, Lineage, LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { PeerId } from '../../../../server/raft/core/ids.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import { systemClock } from '../../../../server/raft/node/clock.ts';
import type { ChangeGuard } from '../../../../server/raft/node/node-api.ts';
import type { NodeStatus, PeerStatus } from '../../../../server/raft/node/node-status.ts';
import type { AdministeredNode } from '../../../../server/raft/transport/cli-service.ts';
import { cliService } from '../../../../server/raft/transport/cli-service.ts';
import {
  bindGrpcServer,
  closeGrpcServer,
  createGrpcServer,
} from '../../../../server/raft/transport/grpc-server.ts';
import { raftErrorFrom } from '../../../../server/raft/transport/grpc-status.ts';
import { peerId } from '../../../support/transport-host.ts';

const A = peerId('127.0.0.1:8300');
const A1 = peerId('127.0.0.1:8300:1');
const B = peerId('127.0.0.1:8301');
const C = peerId('127.0.0.1:8302');

const FOLLOWER: PeerStatus = {
  incarnation: Incarnation('disk-b'),
  valid: true,
  installingSnapshot: false,
  blocking: false,
  matchIndex: LogIndex(41),
  nextIndex: LogIndex(42),
  lastContactMs: 12.4,
  inFlightEntries: 0,
  readonlyIndex: 0,
  consecutiveErrors: 0,
};

const STATUS: NodeStatus = {
  state: 'leader',
  peer: A,
  leader: A,
  readonly: false,
  term: Term(5),
  committedIndex: LogIndex(40),
  knownAppliedIndex: LogIndex(39),
  pendingIndex: 0,
  pendingTasks: 0,
  applyingIndex: 0,
  firstIndex: LogIndex(1),
  lastIndex: LogIndex(42),
  lastTerm: Term(5),
  diskIndex: LogIndex(41),
  snapshotIndex: LogIndex(10),
  snapshotTerm: Term(2),
  snapshotActivity: 'idle',
  configuration: {
    index: LogIndex(7),
    configuration: {
      voters: new Set([A, B]),
      outgoing: new Set([A]),
      learners: new Set([C]),
      incarnations: new Map(),
    },
    fence: 3,
    operations: [],
    formatVersion: 1,
  },
  committedConfigurationIndex: LogIndex(6),
  changeStage: 'joint',
  stableFollowers: new Map([[B, FOLLOWER]]),
  unstableFollowers: new Map([
    [C, { ...FOLLOWER, incarnation: undefined, lastContactMs: undefined, readonlyIndex: 4 }],
  ]),
  identity: {
    clusterId: 'c1',
    incarnation: Incarnation('disk-a'),
    lineage: Lineage('l1'),
    joined: true,
  },
  timers: { electionMs: undefined, voteMs: undefined, stepDownMs: 3, snapshotMs: 4 },
  electionTimeoutMs: 1_000,
  lastLeaderContactMs: undefined,
  refusedMessages: {},
};

/** Notes calls; each fails with `failure` while that is set. */
class RecordingNode implements AdministeredNode {
  readonly group = 'g';
  readonly peer: PeerId;
  readonly calls: unknown[][] = [];
  leader: PeerId | undefined = A;
  facts: Partial<NodeStatus> = {};
  failure: RaftError | undefined;

  constructor(peer: PeerId) {
    this.peer = peer;
  }

  #note(...call: unknown[]): Promise<void> {
    this.calls.push(call);
    return this.failure === undefined ? Promise.resolve() : Promise.reject(this.failure);
  }

  async #change(...call: unknown[]) {
    await this.#note(...call);
    return { oldVoters: [A], newVoters: [A, B] };
  }

  nodeId = (): string => `g:${this.peer}`;
  leaderId = (): PeerId | undefined => this.leader;
  isLeader = (): boolean => true;
  isLeaderLeaseValid = (): boolean => false;
  leaderLeaseStatus = () => ({ state: 'disabled' as const, term: Term(5), leaseEpoch: 0 });
  shutdown = (): Promise<void> => this.#note('shutdown');
  join = (): Promise<void> => this.#note('join');
  readIndex = () => this.#note('readIndex').then(() => LogIndex(1));
  listPeers = (): readonly PeerId[] => {
    if (this.failure !== undefined) throw this.failure;
    return [A, B];
  };
  addPeer = (peer: PeerId, guard?: ChangeGuard) => this.#change('addPeer', peer, guard);
  removePeer = (peer: PeerId, guard?: ChangeGuard) => this.#change('removePeer', peer, guard);
  changePeers = (voters: ReadonlySet<PeerId>, guard?: ChangeGuard) =>
    this.#change('changePeers', [...voters], guard);
  addLearner = (peer: PeerId, guard?: ChangeGuard) => this.#change('addLearner', peer, guard);
  removeLearner = (peer: PeerId, guard?: ChangeGuard) => this.#change('removeLearner', peer, guard);
  promoteLearner = (peer: PeerId, guard?: ChangeGuard) =>
    this.#change('promoteLearner', peer, guard);
  claimOperator = (guard: ChangeGuard) => this.#change('claimOperator', guard);
  resetPeers = (voters: ReadonlySet<PeerId>) => this.#note('resetPeers', [...voters]);
  bootstrap = (clusterId: string) => this.#note('bootstrap', clusterId);
  snapshot = () => this.#note('snapshot');
  vote = (electionTimeoutMs: number) => this.#note('vote', electionTimeoutMs);
  resetElectionTimeoutMs = () => this.#note('resetElectionTimeoutMs');
  transferLeadershipTo = (target: PeerId | 'any') => this.#note('transferLeadershipTo', target);
  readCommittedUserLog = () => Promise.resolve({ index: LogIndex(1), data: new Uint8Array() });
  status = (): NodeStatus => ({ ...STATUS, ...this.facts });
  enterReadonlyMode = () => this.#note('enterReadonlyMode');
  leaveReadonlyMode = () => this.#note('leaveReadonlyMode');
  readonly = (): boolean => false;
}

type Answer<T> = (error: ServiceError | null, response: T) => void;

/** The answer of a call, or the RaftError it failed with. */
function answerTo<T>(start: (answer: Answer<T>) => unknown): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  start((error, response) => {
    if (error === null) resolve(response);
    else reject(raftErrorFrom(error));
  });
  return promise;
}

let nodes: readonly RecordingNode[] = [];
let node = new RecordingNode(A);
const server = createGrpcServer();
const disabledServer = createGrpcServer();
const client = new CliServiceClient('127.0.0.1:21130', credentials.createInsecure());
const secretServer = createGrpcServer();
const secretClient = new CliServiceClient('127.0.0.1:21132', credentials.createInsecure());
const SECRET = { current: () => 'open sesame 12345', accepts: (given: string) => given.length > 3 };
let setAside: string[] = [];
const disabledClient = new CliServiceClient('127.0.0.1:21131', credentials.createInsecure());

beforeAll(async () => {
  const findNodes = (group: string): readonly RecordingNode[] => (group === 'g' ? nodes : []);
  const joinFresh = (group: string, old: string) => {
    setAside.push(`${group} ${old}`);
    return Promise.resolve();
  };
  server.addService(
    CliServiceService,
    cliService({ findNodes, version: '1.2.3', disabled: false, joinFresh }),
  );
  secretServer.addService(
    CliServiceService,
    cliService({ findNodes, version: '1.2.3', disabled: false, secret: SECRET }),
  );
  disabledServer.addService(
    CliServiceService,
    cliService({ findNodes, version: '1.2.3', disabled: true }),
  );
  await bindGrpcServer(server, '127.0.0.1:21130');
  await bindGrpcServer(disabledServer, '127.0.0.1:21131');
  await bindGrpcServer(secretServer, '127.0.0.1:21132');
});

beforeEach(() => {
  node = new RecordingNode(A);
  nodes = [node];
  setAside = [];
});

afterAll(async () => {
  client.close();
  disabledClient.close();
  secretClient.close();
  await closeGrpcServer(secretServer, { graceMs: 1_000, clock: systemClock });
  await closeGrpcServer(server, { graceMs: 1_000, clock: systemClock });
  await closeGrpcServer(disabledServer, { graceMs: 1_000, clock: systemClock });
});

const groupId = 'g';
const leaderId = '';
const guard = { expectedConfigurationIndex: 0, fence: 7, operationId: 'op' };
const guardSeen = { expectedConfigurationIndex: LogIndex(0), fence: 7, operationId: 'op' };
const b = '127.0.0.1:8301';

describe('CliService', () => {
  it.each<[string, (answer: Answer<unknown>) => unknown, unknown[]]>([
    [
      'adds a peer',
      (done) => client.addPeer({ groupId, leaderId, peerId: b, guard }, done),
      ['addPeer', B, guardSeen],
    ],
    [
      'removes a peer',
      (done) => client.removePeer({ groupId, leaderId, peerId: b, guard: undefined }, done),
      ['removePeer', B, {}],
    ],
    [
      'changes peers',
      (done) =>
        client.changePeers({ groupId, leaderId, newPeers: [b, '127.0.0.1:8302'], guard }, done),
      ['changePeers', [B, C], guardSeen],
    ],
    [
      'adds a learner',
      (done) => client.addLearner({ groupId, leaderId, peerId: b, guard }, done),
      ['addLearner', B, guardSeen],
    ],
    [
      'removes a learner',
      (done) => client.removeLearner({ groupId, leaderId, peerId: b, guard }, done),
      ['removeLearner', B, guardSeen],
    ],
    [
      'promotes a learner',
      (done) => client.promoteLearner({ groupId, leaderId, peerId: b, guard }, done),
      ['promoteLearner', B, guardSeen],
    ],
    [
      'claims for an operator',
      (done) => client.claimOperator({ groupId, leaderId, guard }, done),
      ['claimOperator', guardSeen],
    ],
    [
      'resets a peer, whatever the old peers',
      (done) => client.resetPeer({ groupId, peerId: A, oldPeers: ['x'], newPeers: [b] }, done),
      ['resetPeers', [B]],
    ],
    ['takes a snapshot', (done) => client.snapshot({ groupId }, done), ['snapshot']],
    [
      'transfers to a peer',
      (done) => client.transferLeader({ groupId, leaderId, peerId: b }, done),
      ['transferLeadershipTo', B],
    ],
    [
      'transfers to any peer',
      (done) => client.transferLeader({ groupId, leaderId, peerId: '0.0.0.0:0:0:0' }, done),
      ['transferLeadershipTo', 'any'],
    ],
    [
      'transfers to the best when none is named',
      (done) => client.transferLeader({ groupId, leaderId }, done),
      ['transferLeadershipTo', 'any'],
    ],
    [
      'campaigns with its own timeout',
      (done) => client.campaign({ groupId, electionTimeoutMs: 0 }, done),
      ['vote', 1_000],
    ],
    [
      'campaigns with another timeout',
      (done) => client.campaign({ groupId, electionTimeoutMs: 200 }, done),
      ['vote', 200],
    ],
    [
      'makes readonly',
      (done) => client.setReadonly({ groupId, readonly: true }, done),
      ['enterReadonlyMode'],
    ],
    [
      'makes writable',
      (done) => client.setReadonly({ groupId, readonly: false }, done),
      ['leaveReadonlyMode'],
    ],
  ])('%s', async (_, call, expected) => {
    await answerTo(call);
    expect(node.calls).toEqual([expected]);
    node.failure = new RaftError('ECATCHUP', 'too slow', { leader: B });
    await expect(answerTo(call)).rejects.toMatchObject({ code: 'ECATCHUP', leader: B });
  });

  it('answers a change with the voters before and after', async () => {
    const answer = await answerTo<{ oldPeers: string[]; newPeers: string[] }>((done) =>
      client.addPeer({ groupId, leaderId, peerId: b, guard }, done),
    );
    expect(answer).toEqual({ oldPeers: [A], newPeers: [A, B] });
  });

  it('lists the peers as the leader knows them', async () => {
    expect(await answerTo((done) => client.listPeers({ groupId }, done))).toEqual({
      peers: [A, B],
      outgoingPeers: [A],
      learners: [C],
      configurationIndex: 7,
      leaderId: A,
    });
    node.failure = new RaftError('EPERM', 'not the leader', { leader: B });
    const refused = answerTo((done) => client.listPeers({ groupId }, done));
    await expect(refused).rejects.toMatchObject({ code: 'EPERM', leader: B });
  });

  it('asks a quorum before a linearizable status, and says when it cannot', async () => {
    const ask = (linearizable: boolean) =>
      answerTo((done) => client.getStatus({ groupId, linearizable }, done));
    await ask(false);
    expect(node.calls).toEqual([]);
    await ask(true);
    expect(node.calls).toEqual([['readIndex']]);
    node.failure = new RaftError('EPERM', 'Not leader');
    await expect(ask(true)).rejects.toMatchObject({ code: 'EPERM' });
  });

  it('bootstraps the named node and tells its incarnation', async () => {
    const request = { groupId, peerId: A, clusterId: 'c1' };
    const answer = await answerTo((done) => client.bootstrap(request, done));
    expect(answer).toEqual({ incarnation: 'disk-a' });
    expect(node.calls).toEqual([['bootstrap', 'c1']]);
  });

  describe('sets a disk aside', () => {
    const others = {
      ...STATUS.configuration,
      configuration: { ...STATUS.configuration.configuration, voters: new Set([B]) },
    };
    const { learners, incarnations } = STATUS.configuration.configuration;
    const stable = { voters: new Set([B]), learners, incarnations };
    const without = { ...others, configuration: stable };
    const follower = { state: 'follower' as const, leader: B };
    const settled = { committedConfigurationIndex: LogIndex(7) };

    it.each<[string, Partial<NodeStatus>]>([
      ['that is no member', { ...follower, ...settled, configuration: without }],
      ['that knows no leader', { state: 'follower', leader: undefined }],
      ['that campaigns', { state: 'candidate', leader: undefined }],
    ])('%s', async (_name, facts) => {
      node.facts = facts;
      const request = { groupId, peerId: A, oldIncarnation: 'disk-a' };
      await answerTo((done) => client.joinFresh(request, done));
      expect(setAside).toEqual(['g disk-a']);
    });

    it.each<[string, string, string, Partial<NodeStatus>]>([
      ['another disk', 'ESTALE', 'disk-x', { state: 'follower', leader: undefined }],
      ['a leader', 'EPERM', 'disk-a', { ...settled, configuration: without }],
      ['a member', 'EPERM', 'disk-a', { ...follower, ...settled }],
      [
        'one that is leaving',
        'EPERM',
        'disk-a',
        { ...follower, ...settled, configuration: others },
      ],
      ['one not surely removed', 'EPERM', 'disk-a', { ...follower, configuration: without }],
    ])('but not %s: %s', async (_name, code, oldIncarnation, facts) => {
      node.facts = facts;
      const request = { groupId, peerId: A, oldIncarnation };
      const answer = answerTo((done) => client.joinFresh(request, done));
      await expect(answer).rejects.toMatchObject({ code, outcome: 'notProposed' });
      expect(setAside).toEqual([]);
    });
  });

  describe('with a secret', () => {
    const withSecret = (text: string): Metadata => {
      const metadata = new Metadata();
      metadata.set('atomic-auth', text);
      return metadata;
    };

    it('refuses who does not show it, before anything else', async () => {
      const request = { groupId: 'absent', linearizable: false };
      for (const metadata of [new Metadata(), withSecret('no')]) {
        const failed = answerTo((done) => secretClient.getStatus(request, metadata, done));
        await expect(failed).rejects.toMatchObject({
          code: 'EACCES',
          cause: { code: status.PERMISSION_DENIED },
          message: expect.stringContaining('asks for its secret: give --auth_secret_file'),
        });
      }
    });

    it('serves who shows it', async () => {
      const request = { groupId, linearizable: false };
      const answer = answerTo<{ peerId: string }>((done) =>
        secretClient.getStatus(request, withSecret('good'), done),
      );
      expect((await answer).peerId).toBe(A);
    });

    it('tells everybody who leads and who is a member: clients of the counters ask that', async () => {
      const leader = answerTo((done) => secretClient.getLeader({ groupId }, done));
      expect(await leader).toEqual({ leaderId: A, members: [A, B, C] });
      const list = answerTo((done) => secretClient.listPeers({ groupId }, done));
      expect(await list).toMatchObject({ peers: [A, B] });
    });
  });

  it('tells a status in full', async () => {
    expect(
      await answerTo((done) => client.getStatus({ groupId, linearizable: false }, done)),
    ).toMatchObject({
      peerId: A,
      state: 'LEADER',
      leaderId: A,
      term: 5,
      committedIndex: 40,
      incarnation: 'disk-a',
      lineage: 'l1',
      clusterId: 'c1',
      joined: true,
      configurationIndex: 7,
      committedConfigurationIndex: 6,
      fence: 3,
      formatVersion: 1,
      version: '1.2.3',
      followers: [
        { peerId: B, voter: true, matchIndex: 41, nextIndex: 42, lastContactMs: 12 },
        { peerId: C, voter: false, incarnation: '', lastContactMs: -1, readonly: true },
      ],
    });
  });

  it('refuses all but the question for the leader when disabled', async () => {
    const change = answerTo((done) =>
      disabledClient.addPeer({ groupId, leaderId, peerId: b, guard }, done),
    );
    await expect(change).rejects.toMatchObject({ code: 'EACCES' });
    expect(node.calls).toEqual([]);
    const leader = await answerTo((done) => disabledClient.getLeader({ groupId }, done));
    expect(leader).toEqual({ leaderId: A, members: [A, B, C] });
  });
});

describe('the node that CliService means', () => {
  const snapshotOf = (peer?: string, group = 'g'): Promise<unknown> => {
    const named = peer === undefined ? {} : { peerId: peer };
    return answerTo((done) => client.snapshot({ groupId: group, ...named }, done));
  };

  it('is the only one of the group when none is named', async () => {
    await snapshotOf();
    await snapshotOf('');
    expect(node.calls).toHaveLength(2);
  });

  it('is the named one, by two, three or four fields and whatever its role', async () => {
    nodes = [new RecordingNode(A1), node];
    for (const id of ['127.0.0.1:8300', '127.0.0.1:8300:0', '127.0.0.1:8300:0:1']) {
      await snapshotOf(id);
    }
    expect(node.calls).toHaveLength(3);
  });

  it.each([
    ['an unknown group', 'EN', 'other', 'ENOENT'],
    ['a peer that is not here', '127.0.0.1:8399', 'g', 'ENOENT'],
    ['a malformed id', 'localhost', 'g', 'EINVAL'],
    ['an id with garbage behind it', '127.0.0.1:8300:0:0junk', 'g', 'EINVAL'],
  ])('is not found: %s', async (_, peer, group, code) => {
    const named = group === 'other' ? undefined : peer;
    await expect(snapshotOf(named, group)).rejects.toMatchObject({ code });
  });

  it('must be named when the group has several', async () => {
    nodes = [new RecordingNode(A1), node];
    await expect(snapshotOf()).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it('is any that knows the leader when the leader is asked for', async () => {
    const lost = new RecordingNode(A1);
    lost.leader = undefined;
    nodes = [lost, node];
    const ask = (peer?: string): Promise<unknown> =>
      answerTo((done) =>
        client.getLeader({ groupId, ...(peer !== undefined && { peerId: peer }) }, done),
      );
    expect(await ask()).toEqual({ leaderId: A, members: [A, B, C] });
    await expect(ask(A1)).rejects.toMatchObject({ code: 'EAGAIN', message: 'Unknown leader' });
    nodes = [];
    await expect(ask()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.each([
    ['an empty set', []],
    ['a malformed peer', ['127.0.0.1']],
    ['a peer twice', ['127.0.0.1:8300', '127.0.0.1:8300:0:0']],
    ['a witness', ['127.0.0.1:8300', '127.0.0.1:8301:0:1']],
    ['a peer without a port', ['127.0.0.1:8300', '127.0.0.1:0']],
    ['too many peers', Array.from({ length: 101 }, (_, at) => `127.0.0.1:${at + 1}`)],
  ])('is not asked to change to %s', async (_, newPeers) => {
    const change = answerTo((done) =>
      client.changePeers({ groupId, leaderId, newPeers, guard: undefined }, done),
    );
    await expect(change).rejects.toMatchObject({ code: 'EINVAL' });
    expect(node.calls).toEqual([]);
  });

  it.each([
    ['negative', { expectedConfigurationIndex: -1 }],
    ['too long', { operationId: 'x'.repeat(257) }],
  ])('is not asked with a guard that is %s', async (_, wrong) => {
    const change = answerTo((done) =>
      client.addPeer({ groupId, leaderId, peerId: b, guard: wrong }, done),
    );
    await expect(change).rejects.toMatchObject({ code: 'EINVAL' });
  });
});
