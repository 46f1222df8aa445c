import { isLeaseValid, isReadonly } from '../core/observe.ts';
import { LogIndex, Term, type LogId, type PeerId } from '../core/ids.ts';
import type { MembershipChange } from '../core/membership.ts';
import type { Proposal } from '../core/event.ts';
import { RaftError } from '../error.ts';
import type { Receiver } from '../transport/transport.ts';
import { bootstrap } from './bootstrap.ts';
import { FORMAT_VERSION_MAX } from './defaults.ts';
import type { ChangeGuard, MembershipResult, NodeApi } from './node-api.ts';
import { NodeEngine } from './node-engine.ts';
import type { NodeOptions, Task } from './node-options.ts';
import { recover } from './node-start.ts';
import type { LeaderLeaseStatus, NodeState, NodeStatus } from './node-status.ts';
import { leaseStatus, nodeState, nodeStatus } from './node-view.ts';
import { commitReset, prepareReset, undoReset, type ResetPlan } from './planned-reset.ts';
import { resetPeers } from './reset-peers.ts';
import type { NodeError } from './state-machine.ts';

/** Entries looked through at once for a user log. */
const SCAN_BYTES_MAX = 262_144;

/**
 * One member of one group in this process (braft Node). `init` starts it; every failure is a
 * RaftError; `shutdown` may be called at any time, also after a failed `init`.
 */
export class Node<Context = unknown> implements NodeApi<Context> {
  readonly group: string;
  readonly peer: PeerId;
  #engine: NodeEngine<Context> | undefined;
  #options: NodeOptions<Context> | undefined;
  #unregister: () => void = () => undefined;
  #lifecycle: 'uninitialized' | 'active' | 'shutting' | 'shutdown' = 'uninitialized';
  #stopping: Promise<void> | undefined;
  readonly #stopped = Promise.withResolvers<undefined>();
  #proposals: Proposal[] = [];

  constructor(group: string, peer: PeerId) {
    this.group = group;
    this.peer = peer;
  }

  /**
   * Loads the newest snapshot, then takes part in the group (braft init).
   *
   * @throws RaftError EINVAL when called twice or for a witness; EIO when entries are missing; what
   *   the state machine failed to load the snapshot with.
   */
  async init(options: NodeOptions<Context>): Promise<void> {
    if (this.#lifecycle !== 'uninitialized' || this.#options !== undefined) {
      throw new RaftError('EINVAL', 'this node was initialized before');
    }
    this.#options = options;
    const recovered = await recover({ group: this.group, peer: this.peer, options });
    const engine = new NodeEngine(this.group, this.peer, options, recovered);
    if (recovered.snapshot !== undefined) await loadNewest(options, engine);
    this.#requireStarting();
    this.#engine = engine;
    this.#lifecycle = 'active';
    const { incarnation } = options.storage.identity.current();
    const announcement = {
      incarnation,
      formatVersionMin: 1,
      formatVersionMax: FORMAT_VERSION_MAX,
    };
    const local = { group: this.group, peer: this.peer, announcement };
    this.#unregister = options.transport.register(local, this.#receiver(engine));
    engine.start();
    const { configuration } = engine.state.configurations.latest();
    const alone = configuration.voters.size === 1 && configuration.voters.has(this.peer);
    // Nobody else could be leading: no need to wait for an election timeout (braft).
    if (alone && engine.state.joined) await this.vote(engine.state.timing.electionTimeoutMs);
  }

  nodeId(): string {
    return `${this.group}:${this.peer}`;
  }

  leaderId(): PeerId | undefined {
    return this.#engine?.state.leader;
  }

  isLeader(): boolean {
    return this.state() === 'leader';
  }

  state(): NodeState {
    if (this.#lifecycle === 'uninitialized' || this.#engine === undefined) {
      return this.#lifecycle === 'shutdown' ? 'shutdown' : 'uninitialized';
    }
    return nodeState(this.#engine.state, this.#effectiveLifecycle(this.#engine));
  }

  /** What stopped the node, if anything did (braft: state ERROR). */
  failure(): NodeError | undefined {
    return this.#engine?.failure();
  }

  isLeaderLeaseValid(): boolean {
    const engine = this.#engine;
    return engine !== undefined && isLeaseValid(engine.state, engine.now());
  }

  leaderLeaseStatus(): LeaderLeaseStatus {
    const engine = this.#running();
    return leaseStatus(engine.state, engine.now());
  }

  shutdown(): Promise<void> {
    this.#stopping ??= this.#stop().finally(() => {
      this.#stopped.resolve(undefined);
    });
    return this.#stopping;
  }

  async join(): Promise<void> {
    await this.#stopped.promise;
  }

  apply(task: Task<Context>): Promise<LogId> {
    const engine = this.#engine;
    if (engine === undefined || this.#lifecycle !== 'active') return rejectDown();
    const refusal = this.#refusalFor(engine, task);
    if (refusal !== undefined) return Promise.reject(refusal);
    const ticket = engine.newTicket();
    const { data, context, expectedTerm } = task;
    if (this.#proposals.length === 0) queueMicrotask(this.#flushProposals);
    const expected = expectedTerm === undefined ? {} : { expectedTerm: Term(expectedTerm) };
    this.#proposals.push({ ticket, data, ...expected });
    return new Promise((resolve, reject) => {
      engine.pending.add(ticket, { context, bytes: data.length, resolve, reject });
    });
  }

  readIndex(options: { readonly consistency?: 'linearizable' | 'lease' } = {}): Promise<LogIndex> {
    const engine = this.#engine;
    if (engine === undefined || this.#lifecycle !== 'active') return rejectDown();
    const failure = engine.failure();
    if (failure !== undefined) return Promise.reject(failedError(failure));
    return engine.reads.read(options.consistency ?? 'linearizable');
  }

  listPeers(): readonly PeerId[] {
    const engine = this.#running();
    if (this.state() !== 'leader') {
      throw new RaftError('EPERM', 'Not leader', { leader: engine.state.leader });
    }
    return [...engine.state.configurations.latest().configuration.voters];
  }

  addPeer(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'addVoter', peer } });
  }

  removePeer(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'removeVoter', peer } });
  }

  changePeers(voters: ReadonlySet<PeerId>, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'changeVoters', voters } });
  }

  addLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'addLearner', peer } });
  }

  removeLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'removeLearner', peer } });
  }

  promoteLearner(peer: PeerId, guard?: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'promoteLearner', peer } });
  }

  claimOperator(guard: ChangeGuard): Promise<MembershipResult> {
    return this.#change({ ...guard, target: { type: 'claimOperator' } });
  }

  async resetPeers(voters: ReadonlySet<PeerId>): Promise<void> {
    await resetPeers(this.#working(), this.#optionsOf().storage.identity, voters);
  }

  /** First half of a planned reset on this survivor; see planned-reset.ts for what is thrown. */
  async prepareReset(plan: ResetPlan): Promise<void> {
    await prepareReset(this.#working(), this.#optionsOf().storage.identity, plan);
  }

  /** Second half: the disk goes over to the new history. */
  async commitReset(planHash: string): Promise<void> {
    await commitReset(this.#working(), this.#optionsOf().storage.identity, planHash);
  }

  /** Back to the old history, as long as the log holds nothing of the new one. */
  async undoReset(planHash: string): Promise<void> {
    await undoReset(this.#working(), this.#optionsOf().storage.identity, planHash);
  }

  async bootstrap(clusterId: string): Promise<void> {
    const { identity } = this.#optionsOf().storage;
    await bootstrap(this.#working(), { clusterId, identity });
  }

  async snapshot(): Promise<void> {
    await this.#working().snapshots.save();
  }

  async vote(electionTimeoutMs: number): Promise<void> {
    const engine = this.#working();
    const { ticket, promise } = engine.requests.open<unknown>();
    engine.driver.submit({ type: 'campaign', now: engine.now(), ticket, electionTimeoutMs });
    await promise;
  }

  async resetElectionTimeoutMs(electionTimeoutMs: number, clockDriftMaxMs?: number): Promise<void> {
    const engine = this.#working();
    const { timing } = engine.state;
    const sum = timing.electionTimeoutMs + timing.clockDriftMaxMs;
    const drift = clockDriftMaxMs ?? sum - electionTimeoutMs;
    if (electionTimeoutMs <= 0 || drift < 0) {
      const text = `the election timeout must lie between 1 and ${String(sum)} ms`;
      throw new RaftError('EINVAL', text);
    }
    const now = engine.now();
    engine.driver.submit({ type: 'setTiming', now, electionTimeoutMs, clockDriftMaxMs: drift });
    await Promise.resolve();
  }

  async transferLeadershipTo(target: PeerId | 'any'): Promise<void> {
    const engine = this.#working();
    const { ticket, promise } = engine.requests.open<unknown>();
    const to = target === 'any' ? undefined : target;
    engine.driver.submit({ type: 'transferLeadership', now: engine.now(), ticket, target: to });
    await promise;
  }

  async readCommittedUserLog(index: number): Promise<{ index: LogIndex; data: Uint8Array }> {
    const engine = this.#running();
    if (!Number.isSafeInteger(index) || index <= 0) {
      throw new RaftError('EINVAL', 'the index must be a positive integer');
    }
    const end = engine.fsm.appliedIndex();
    let from = LogIndex(index);
    while (from <= end) {
      const entries = await engine.entries(from, { to: end, bytesMax: SCAN_BYTES_MAX });
      const last = entries?.at(-1);
      if (entries === undefined || last === undefined) {
        throw new RaftError('ELOGDELETED', `the log at index ${String(from)} was compacted`);
      }
      const found = entries.find((entry) => entry.kind === 'data');
      if (found?.kind === 'data') return { index: found.id.index, data: found.data };
      from = LogIndex(last.id.index + 1);
    }
    throw new RaftError('ENOMOREUSERLOG', `no user log from index ${String(index)} on`);
  }

  status(): NodeStatus {
    const engine = this.#running();
    const { storage } = this.#optionsOf();
    return nodeStatus(engine.state, {
      lifecycle: this.#effectiveLifecycle(engine),
      identity: storage.identity.current(),
      now: engine.now(),
      applyingIndex: engine.fsm.activity() === 'applying' ? engine.fsm.appliedIndex() + 1 : 0,
      pendingIndex: engine.pending.firstIndex(),
      pendingTasks: engine.pending.size(),
      diskIndex: storage.log.durableIndex(),
      snapshotActivity: engine.snapshots.activity(),
      snapshotTimerMs: engine.snapshotTimer.remainingMs(),
      refusedMessages: engine.refusedMessages,
    });
  }

  enterReadonlyMode(): Promise<void> {
    return this.#setReadonly(true);
  }

  leaveReadonlyMode(): Promise<void> {
    return this.#setReadonly(false);
  }

  readonly(): boolean {
    const engine = this.#engine;
    return engine !== undefined && isReadonly(engine.state);
  }

  /** Shutdown may have come while `init` waited for the disk, which is closed then. */
  #requireStarting(): void {
    if (this.#lifecycle !== 'uninitialized') {
      throw new RaftError('EPERM', 'the node was shut down while it started');
    }
  }

  async #stop(): Promise<void> {
    const engine = this.#engine;
    this.#lifecycle = 'shutting';
    if (engine !== undefined) await engine.stop();
    this.#unregister();
    await this.#options?.storage.close();
    this.#lifecycle = 'shutdown';
  }

  #receiver(engine: NodeEngine<Context>): Receiver {
    return {
      receive: (message) => engine.receive(message),
      unreachable: (peer) => {
        engine.driver.submit({ type: 'peerUnreachable', peer });
      },
      announced: (peer, announcement) => {
        engine.announced(peer, announcement);
      },
      openCopy: (copyId) => engine.snapshots.copySource(copyId),
    };
  }

  async #change(change: MembershipChange): Promise<MembershipResult> {
    const engine = this.#working();
    const { ticket, promise } = engine.requests.open<Partial<MembershipResult>>();
    engine.driver.submit({ type: 'changeMembership', now: engine.now(), ticket, change });
    const { oldVoters = [], newVoters = [] } = await promise;
    return { oldVoters, newVoters };
  }

  async #setReadonly(readonly: boolean): Promise<void> {
    const engine = this.#working();
    engine.driver.submit({ type: 'setReadonly', now: engine.now(), readonly });
    await Promise.resolve();
  }

  readonly #flushProposals = (): void => {
    const proposals = this.#proposals;
    this.#proposals = [];
    const engine = this.#engine;
    if (engine === undefined || proposals.length === 0) return;
    engine.driver.submit({ type: 'propose', now: engine.now(), proposals });
  };

  #refusalFor(engine: NodeEngine<Context>, task: Task<Context>): RaftError | undefined {
    const failure = engine.failure();
    if (failure !== undefined) return failedError(failure);
    if (!this.#optionsOf().storage.log.hasSpace()) {
      return new RaftError('ENOSPC', 'the disk is almost full: free some space, writes then go on');
    }
    if (!engine.pending.isFull(task.data.length)) return undefined;
    return new RaftError('EBUSY', 'too many tasks are waiting to be applied; try again later');
  }

  #effectiveLifecycle(engine: NodeEngine<Context>): 'active' | 'error' | 'shutting' | 'shutdown' {
    if (this.#lifecycle === 'shutting' || this.#lifecycle === 'shutdown') return this.#lifecycle;
    return engine.failure() === undefined ? 'active' : 'error';
  }

  #running(): NodeEngine<Context> {
    if (this.#engine !== undefined && this.#lifecycle === 'active') return this.#engine;
    throw new RaftError('EPERM', 'Node is down');
  }

  /** The engine of a node that takes requests. @throws RaftError EPERM after a failure. */
  #working(): NodeEngine<Context> {
    const engine = this.#running();
    const failure = engine.failure();
    if (failure !== undefined) throw failedError(failure);
    return engine;
  }

  #optionsOf(): NodeOptions<Context> {
    if (this.#options === undefined) throw new RaftError('EPERM', 'Node is down');
    return this.#options;
  }
}

async function loadNewest<Context>(
  { storage }: NodeOptions<Context>,
  engine: NodeEngine<Context>,
): Promise<void> {
  const meta = storage.snapshots?.recovered;
  if (meta === undefined) return;
  await engine.fsm.load(meta, async () => storage.snapshots?.open());
}

function rejectDown(): Promise<never> {
  return Promise.reject(new RaftError('EPERM', 'Node is down'));
}

function failedError({ error }: NodeError): RaftError {
  return new RaftError('EPERM', `the node is in state ERROR: ${error.message}`, { cause: error });
}
