import { unreachable } from '../core/assert.ts';
import { membersOf } from '../core/configuration.ts';
import type { Effect, RoleChanged } from '../core/effect.ts';
import type { LogEntry } from '../core/entry.ts';
import type { Event, Ticket } from '../core/event.ts';
import { LogIndex, Term, type Incarnation, type MonotonicMs, type PeerId } from '../core/ids.ts';
import type { Message } from '../core/message.ts';
import { isLeaseValid } from '../core/observe.ts';
import { createPrng } from '../core/prng.ts';
import type { Recovered } from '../core/recovered.ts';
import type { Refusal } from '../core/refusal.ts';
import { createState, type RaftState } from '../core/state.ts';
import { step } from '../core/step.ts';
import { asRaftError, RaftError } from '../error.ts';
import type { AddressedMessage, PeerAnnouncement, ReceiveRefusal } from '../transport/transport.ts';
import { coreOptionsOf, resolveLimits, type Limits } from './defaults.ts';
import { Driver } from './driver.ts';
import { FsmCaller } from './fsm-caller.ts';
import type { NodeOptions } from './node-options.ts';
import { checkMessage, type IdentityChange } from './peer-gate.ts';
import { PendingRequests, PendingTasks } from './pending.ts';
import { PersistQueue } from './persist-queue.ts';
import { ReadRequests } from './read-requests.ts';
import { SnapshotExecutor } from './snapshot-executor.ts';
import { SnapshotTimer } from './snapshot-timer.ts';
import type { NodeError } from './state-machine.ts';

/** A message that waits for the identity to be durable, with all that came after it. */
const HELD_MESSAGES_MAX = 10_000;

/** Peers whose disk and formats are remembered, members aside. */
const PEERS_REMEMBERED_MAX = 1_000;

/**
 * The moving parts of one running node, wired: core, driver, disk, state machine, reads, snapshots.
 * `Node` is its public face.
 */
export class NodeEngine<Context> {
  readonly state: RaftState;
  readonly driver: Driver;
  readonly persist: PersistQueue;
  readonly fsm: FsmCaller<Context>;
  readonly pending: PendingTasks<Context>;
  readonly requests: PendingRequests;
  readonly reads: ReadRequests;
  readonly snapshots: SnapshotExecutor<Context>;
  readonly snapshotTimer: SnapshotTimer;
  readonly refusedMessages: Record<string, number> = {};
  readonly limits: Limits;
  readonly #options: NodeOptions<Context>;
  readonly #group: string;
  /** The disk that each peer spoke from last. */
  readonly #heard = new Map<PeerId, Incarnation>();
  #tickets = 0;
  #held: AddressedMessage[] | undefined;
  #becomingVoter: { readonly ticket: Ticket; readonly promise: Promise<unknown> } | undefined;
  #failure: NodeError | undefined;
  #stopping = false;
  #logBytesSinceSnapshot = 0;
  /** The term of the last known leader, which may be older than the current one. */
  #followedTerm = Term(0);

  constructor(group: string, peer: PeerId, options: NodeOptions<Context>, recovered: Recovered) {
    this.#group = group;
    this.#options = options;
    const { storage, clock, stateMachine } = options;
    this.limits = resolveLimits(options);
    const { incarnation } = storage.identity.current();
    this.state = createState(coreOptionsOf(options, { peer, incarnation }), recovered);
    this.pending = new PendingTasks({
      tasksMax: this.limits.pendingTasksMax,
      bytesMax: this.limits.pendingBytesMax,
    });
    this.requests = new PendingRequests(() => this.newTicket());
    this.driver = new Driver({
      state: this.state,
      step: options.step ?? step,
      clock,
      carryOut: (effect) => {
        this.#carryOut(effect);
      },
      send: (messages) => {
        this.#send(messages);
      },
      onFault: (error) => {
        this.fail({ type: 'log', error: asRaftError(error) });
      },
    });
    this.persist = new PersistQueue({
      log: storage.log,
      meta: storage.meta,
      snapshots: storage.snapshots,
      onDurable: (durable, thenSend) => {
        this.driver.sendNow(thenSend);
        this.driver.submit({ type: 'persisted', ...durable });
      },
      onFailure: (error) => {
        this.fail(error);
      },
    });
    this.fsm = new FsmCaller(
      {
        stateMachine,
        pending: this.pending,
        clock,
        entries: (from, limits) => this.entries(from, limits),
        onApplied: (index) => {
          this.driver.submit({ type: 'applied', index });
          this.reads.applied();
        },
        onError: (error) => {
          this.fail(error);
        },
      },
      this.state.appliedIndex,
    );
    this.reads = new ReadRequests({
      now: () => clock.now(),
      newTicket: () => this.newTicket(),
      submit: (event) => {
        this.driver.submit(event);
      },
      appliedIndex: () => this.fsm.appliedIndex(),
      isLeaseValid: () => isLeaseValid(this.state, clock.now()),
    });
    this.snapshots = this.#createSnapshots();
    this.snapshotTimer = new SnapshotTimer(clock, this.limits.snapshotIntervalMs, () => {
      this.saveSnapshotQuietly();
    });
  }

  /** Starts timers; a lone voter need not wait for anybody. */
  start(): void {
    this.driver.start();
    this.snapshotTimer.start(createPrng(this.#options.seed));
  }

  now(): MonotonicMs {
    return this.#options.clock.now();
  }

  newTicket(): Ticket {
    return ++this.#tickets;
  }

  failure(): NodeError | undefined {
    return this.#failure;
  }

  /** Takes a message from the transport, or says why not. */
  receive(addressed: AddressedMessage): ReceiveRefusal | undefined {
    if (this.#failure !== undefined || this.#stopping) return this.#refuse('notActive');
    if (this.#held !== undefined) {
      // An identity change is being made durable: keep the order.
      if (this.#held.length < HELD_MESSAGES_MAX) this.#held.push(addressed);
      return undefined;
    }
    const { identity } = this.#options.storage;
    const verdict = checkMessage(identity.current(), addressed);
    if (verdict.type === 'refuse') return this.#refuse(verdict.reason);
    this.#hear(addressed.message.from, addressed.message.fromIncarnation);
    if (verdict.type === 'pass') {
      this.#deliver(addressed.message);
      return undefined;
    }
    // A failure is the node's: it has been told.
    void this.changeIdentity(verdict.change, () => {
      this.#deliver(addressed.message);
    }).catch(() => undefined);
    return undefined;
  }

  /**
   * Makes a change of who this disk is durable and runs `then`, before any message is looked at.
   *
   * @throws RaftError EBUSY while another change is under way; EIO, and the node has failed.
   */
  async changeIdentity(change: IdentityChange, then: () => void): Promise<void> {
    if (this.#held !== undefined) {
      throw new RaftError('EBUSY', 'this disk is just being taken in; try again');
    }
    this.#held = [];
    try {
      await this.#options.storage.identity.update(change);
      then();
      this.#releaseHeld();
    } catch (error) {
      this.fail({ type: 'stable', error: asRaftError(error) });
      throw error;
    }
  }

  /** Whether a change of who this disk is is being made durable. */
  isChangingIdentity(): boolean {
    return this.#held !== undefined;
  }

  /** Resolves once a committed configuration of the log has this node as a voter. */
  async committedAsVoter(): Promise<void> {
    if (this.#isCommittedVoter()) return;
    this.#becomingVoter ??= this.requests.open<unknown>();
    await this.#becomingVoter.promise;
  }

  #isCommittedVoter(): boolean {
    const { configurations, commitIndex, options } = this.state;
    const { index, configuration } = configurations.committedStable(commitIndex);
    return index > 0 && configuration.voters.has(options.id);
  }

  #committed(index: LogIndex): void {
    this.fsm.commit(index);
    if (this.#becomingVoter === undefined || !this.#isCommittedVoter()) return;
    this.requests.resolve(this.#becomingVoter.ticket, undefined);
    this.#becomingVoter = undefined;
  }

  /** A peer greeted and said which disk it speaks from and which formats it reads. */
  announced(peer: PeerId, { incarnation, formatVersionMax }: PeerAnnouncement): void {
    this.#hear(peer, incarnation);
    if (!this.#mayRemember(this.state.announcedFormats, peer)) return;
    this.driver.submit({ type: 'peerAnnounced', peer, incarnation, formatVersionMax });
  }

  /** The node stops working for good: it leads no more and answers nobody (braft on_error). */
  fail(error: NodeError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const { logger } = this.#options;
    logger.error('the node failed and stops', { type: error.type, message: error.error.message });
    this.driver.stop({ type: 'resign', now: this.now(), wakeSuccessor: true });
    this.snapshotTimer.stop();
    this.#answerEverything(`the node failed: ${error.error.message}`, 'EBADNODE');
    this.fsm.fail(error);
  }

  /** Stops in order: hand leadership on, answer everybody, let the state machine finish. */
  async stop(): Promise<void> {
    this.driver.stop({ type: 'resign', now: this.now(), wakeSuccessor: true });
    this.#stopping = true;
    this.snapshotTimer.stop();
    this.#answerEverything('Node is down', 'EPERM');
    await this.persist.drain();
    await this.snapshots.stop();
    const last = this.fsm.shutdown();
    await this.snapshots.saved();
    await last;
  }

  /** Saves a snapshot that nobody asked for; one that cannot be saved now is tried again later. */
  saveSnapshotQuietly(): void {
    this.snapshots.save().catch((error: unknown) => {
      const { code, message } = asRaftError(error);
      if (code === 'EBUSY' || code === 'EPERM' || code === 'EINVAL') return;
      const fields = { group: this.#group, code, message };
      this.#options.logger.warn('a snapshot could not be saved', fields);
    });
  }

  #createSnapshots(): SnapshotExecutor<Context> {
    const options = this.#options;
    const { storage, stateMachine, clock, logger, transport } = options;
    const { id: local } = this.state.options;
    return new SnapshotExecutor({
      snapshots: storage.snapshots,
      stateMachine,
      fsm: this.fsm,
      clock,
      logger,
      copySnapshot:
        options.copySnapshot ??
        (() => Promise.reject(new RaftError('EINVAL', 'this node cannot fetch snapshots'))),
      newCopyId: options.newCopyId ?? (() => crypto.randomUUID().replaceAll('-', '')),
      openCopy: ({ peer, copyId }) =>
        transport.openCopy({ group: this.#group, local, peer, copyId }),
      termAt: (index) => this.state.log.termAt(index),
      configurationAt: (index) => this.state.configurations.at(index),
      drained: () => this.persist.drain(),
      submit: (event: Event) => {
        this.driver.submit(event);
      },
      onError: (error) => {
        this.fail(error);
      },
    });
  }

  /** Strangers choose their names: they must neither fill the memory nor keep members out of it. */
  #mayRemember(peers: ReadonlyMap<PeerId, unknown>, peer: PeerId): boolean {
    if (peers.size < PEERS_REMEMBERED_MAX || peers.has(peer)) return true;
    return membersOf(this.state.configurations.latest().configuration).has(peer);
  }

  #hear(peer: PeerId, incarnation: Incarnation): void {
    if (this.#mayRemember(this.#heard, peer)) this.#heard.set(peer, incarnation);
  }

  #deliver(message: Message): void {
    this.driver.submit({ type: 'message', now: this.now(), message });
  }

  #releaseHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const addressed of held) this.receive(addressed);
  }

  #refuse(reason: ReceiveRefusal): ReceiveRefusal {
    this.refusedMessages[reason] = (this.refusedMessages[reason] ?? 0) + 1;
    return reason;
  }

  #send(messages: readonly Message[]): void {
    const { clusterId, lineage, prepared } = this.#options.storage.identity.current();
    if (prepared !== undefined) return;
    const group = this.#group;
    this.#options.transport.send(
      messages.map((message) => ({
        group,
        clusterId,
        lineage,
        message: this.#addressed(message),
      })),
    );
  }

  /**
   * A peer that the configuration does not bind, or binds no more, may be bound in its own eyes, and
   * refuses requests that name no disk. So the one is named that it has been heard from: otherwise
   * a candidate might never win, and a former member could not be added again.
   */
  #addressed(message: Message): Message {
    if (message.toIncarnation !== undefined) return message;
    return { ...message, toIncarnation: this.#heard.get(message.to) };
  }

  /** Entries from..to, at least the first, from memory or disk; undefined when they are gone. */
  entries(
    from: LogIndex,
    limits: { readonly to: LogIndex; readonly bytesMax: number },
  ): readonly LogEntry[] | Promise<readonly LogEntry[] | undefined> {
    const recent = this.state.log.slice(from, limits.to);
    if (recent !== undefined) return recent;
    // Beyond what is known durable the disk may still hold a suffix that is about to be cut.
    const to = LogIndex(Math.min(limits.to, this.state.durableIndex));
    return this.#options.storage.log.read({ from, to, bytesMax: limits.bytesMax });
  }

  #carryOut(effect: Exclude<Effect, { type: 'send' }>): void {
    switch (effect.type) {
      case 'persist':
      case 'install':
        return this.#makeDurable(effect);
      case 'compact':
        return this.persist.compact(effect.firstKept);
      case 'commit':
        return this.#committed(effect.index);
      case 'fetch':
        return this.#fetch(effect);
      case 'proposed':
        return this.pending.proposed(effect.ticket, effect.id);
      case 'readReady':
        return this.reads.ready(effect.ticket, effect);
      case 'refused':
        return this.#refuseTicket(effect.ticket, effect.refusal);
      case 'done':
        return this.requests.resolve(effect.ticket, effect);
      default:
        return this.#carryOutOthers(effect);
    }
  }

  #carryOutOthers(
    effect: Extract<
      Effect,
      {
        type: 'sendSnapshot' | 'downloadSnapshot' | 'roleChanged' | 'configurationChanged' | 'note';
      }
    >,
  ): void {
    switch (effect.type) {
      case 'sendSnapshot':
        return this.#offerSnapshot(effect);
      case 'downloadSnapshot':
        return void this.snapshots.download(effect);
      case 'roleChanged':
        return this.#roleChanged(effect);
      case 'configurationChanged':
        return this.#bindDisk();
      case 'note':
        return this.#options.logger[effect.level](effect.message, effect.fields);
      default:
        return unreachable(effect);
    }
  }

  #makeDurable(effect: Extract<Effect, { type: 'persist' | 'install' }>): void {
    const durable = { lastLog: this.state.log.lastId(), hardState: this.state.hardState };
    this.persist.push(effect, durable);
    if (effect.type === 'install') {
      void this.snapshots.load(effect.meta, this.persist.drain());
    } else {
      this.#countLogBytes(effect.write.entries);
    }
  }

  #countLogBytes(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (entry.kind === 'data') this.#logBytesSinceSnapshot += entry.data.length;
    }
    const { snapshotLogBytes } = this.limits;
    if (snapshotLogBytes === 0 || this.#logBytesSinceSnapshot < snapshotLogBytes) return;
    this.#logBytesSinceSnapshot = 0;
    this.saveSnapshotQuietly();
  }

  #fetch({ peer, from, to, bytesMax }: Extract<Effect, { type: 'fetch' }>): void {
    Promise.resolve(this.entries(from, { to, bytesMax })).then(
      (entries) => {
        this.driver.submit({ type: 'fetched', peer, entries });
      },
      (error: unknown) => {
        this.fail({ type: 'log', error: asRaftError(error) });
      },
    );
  }

  #offerSnapshot(effect: Extract<Effect, { type: 'sendSnapshot' }>): void {
    const { id: from, incarnation: fromIncarnation } = this.state.options;
    const { to, toIncarnation, term } = effect;
    this.snapshots
      .offer({ term, from, fromIncarnation, to, toIncarnation }, (request) => {
        this.driver.sendNow([request]);
      })
      .catch((error: unknown) => {
        this.fail({ type: 'snapshot', error: asRaftError(error) });
      });
  }

  #refuseTicket(ticket: Ticket, refusal: Refusal): void {
    const error = RaftError.from(refusal);
    if (this.pending.refuse(ticket, error) || this.reads.refuse(ticket, error)) return;
    this.requests.refuse(ticket, error);
  }

  #roleChanged(change: RoleChanged): void {
    const { role, previousRole, term, leader, previousLeader, startIndex } = change;
    const { id } = this.state.options;
    const reason = RaftError.from(change.reason);
    this.#options.logger.info(`${previousRole} -> ${role}`, {
      group: this.#group,
      term,
      leader,
      reason: reason.message,
    });
    const ledBefore = previousRole === 'leader';
    if (ledBefore && role !== 'leader') this.fsm.leaderStop(reason);
    const inOffice = role === 'leader' || role === 'transferring';
    if ((ledBefore || previousRole === 'transferring') && !inOffice) this.#leadershipLost();
    if (previousLeader !== leader) {
      const follows = (peer: PeerId | undefined): peer is PeerId =>
        peer !== undefined && peer !== id;
      if (follows(previousLeader)) {
        this.fsm.stopFollowing({ leader: previousLeader, term: this.#followedTerm, reason });
      }
      if (follows(leader)) this.fsm.startFollowing({ leader, term, reason });
    }
    this.#followedTerm = term;
    if (role === 'leader' && startIndex !== undefined) this.fsm.leaderStart(startIndex, term);
  }

  #leadershipLost(): void {
    const error = new RaftError('EPERM', 'leader stepped down', {
      outcome: 'unknown',
      leader: this.state.leader,
    });
    this.pending.failAbove(this.state.commitIndex, error);
  }

  /** A configuration that names this disk binds it: requests must name it from now on. */
  #bindDisk(): void {
    const { identity } = this.#options.storage;
    const { id, incarnation } = this.state.options;
    const { configuration } = this.state.configurations.latest();
    if (identity.current().bound || configuration.incarnations.get(id) !== incarnation) return;
    identity.update({ bound: true }).catch((error: unknown) => {
      this.fail({ type: 'stable', error: asRaftError(error) });
    });
  }

  #answerEverything(text: string, code: 'EPERM' | 'EBADNODE'): void {
    this.pending.failAll((outcome) => new RaftError(code, text, { outcome }));
    const refused = new RaftError(code, text);
    this.reads.failAll(refused);
    this.requests.failAll(new RaftError(code, text, { outcome: 'unknown' }));
  }
}
