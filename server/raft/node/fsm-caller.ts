import type { LogEntry } from '../core/entry.ts';
import { LogIndex, next, type Term } from '../core/ids.ts';
import type { SnapshotMeta } from '../core/message.ts';
import { RaftError } from '../error.ts';
import type { SnapshotReader } from '../storage/snapshot-storage.ts';
import type { Clock } from './clock.ts';
import { EntryIterator } from './entry-iterator.ts';
import type { PendingTasks } from './pending.ts';
import { asRaftError } from './persist-queue.ts';
import type { LeaderChangeContext, NodeError, StateMachine } from './state-machine.ts';

/** Entries applied in one go, before the loop may do something else. */
const APPLY_ENTRIES_MAX = 1_024;
const READ_BYTES_MAX = 1_048_576;

export type FsmPorts<Context> = {
  readonly stateMachine: StateMachine<Context>;
  readonly pending: PendingTasks<Context>;
  readonly clock: Clock;
  /** Committed entries from..to, at least the first; from memory or disk. */
  readonly entries: (
    from: LogIndex,
    limits: { readonly to: LogIndex; readonly bytesMax: number },
  ) => readonly LogEntry[] | Promise<readonly LogEntry[] | undefined>;
  readonly onApplied: (index: LogIndex) => void;
  readonly onError: (error: NodeError) => void;
};

/**
 * Calls the state machine, one call after another (braft FSMCaller): everything it sees goes
 * through this queue in the order in which the node produced it.
 */
export class FsmCaller<Context> {
  readonly #ports: FsmPorts<Context>;
  readonly #tasks: (() => void | Promise<void>)[] = [];
  #busy = false;
  #committed: LogIndex;
  #applied: LogIndex;
  #commitQueued = false;
  #error: NodeError | undefined;
  #leaderStart: { readonly index: LogIndex; readonly term: Term } | undefined;
  #activity: 'idle' | 'applying' | 'saving' | 'loading' = 'idle';

  constructor(ports: FsmPorts<Context>, applied: LogIndex) {
    this.#ports = ports;
    this.#applied = applied;
    this.#committed = applied;
  }

  appliedIndex(): LogIndex {
    return this.#applied;
  }

  activity(): 'idle' | 'applying' | 'saving' | 'loading' {
    return this.#activity;
  }

  /** Entries up to `index` are committed. Several in a row become one run. */
  commit(index: LogIndex): void {
    if (index > this.#committed) this.#committed = index;
    if (this.#commitQueued) return;
    this.#commitQueued = true;
    this.enqueue(() => {
      this.#commitQueued = false;
      return this.#applyCommitted();
    });
  }

  /** onLeaderStart follows once the entry at `index`, the leader's own first, is applied. */
  leaderStart(index: LogIndex, term: Term): void {
    this.enqueue(() => {
      this.#leaderStart = { index, term };
      this.#announceLeader();
    });
  }

  leaderStop(reason: RaftError): void {
    this.enqueue(() => {
      this.#leaderStart = undefined;
      this.#ports.stateMachine.onLeaderStop?.(reason);
    });
  }

  startFollowing(context: LeaderChangeContext): void {
    this.enqueue(() => this.#ports.stateMachine.onStartFollowing?.(context));
  }

  stopFollowing(context: LeaderChangeContext): void {
    this.enqueue(() => this.#ports.stateMachine.onStopFollowing?.(context));
  }

  /** Replaces the state by a snapshot unless the state is already past it. */
  load(meta: SnapshotMeta, open: () => Promise<SnapshotReader | undefined>): Promise<void> {
    return this.#enqueueWaiting(async () => {
      this.#activity = 'loading';
      const reader = await open();
      if (reader === undefined) throw new RaftError('ENODATA', 'the snapshot is gone');
      try {
        await this.#loadFrom(reader, meta);
      } finally {
        await reader.close();
      }
    });
  }

  /**
   * Runs `save` with the index that the state stands for; the queue goes on as soon as `save` calls
   * back, when the state machine has fixed what it will write.
   */
  save(run: (applied: LogIndex, fixed: () => void) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.enqueue(
        () =>
          new Promise<void>((fixed) => {
            run(this.#applied, fixed).then(resolve, reject).finally(fixed);
          }),
      );
    });
  }

  /** The node failed: onError once, and nothing is applied from now on. */
  fail(error: NodeError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#ports.stateMachine.onError?.(error);
  }

  /** Runs after everything queued; the last call the state machine gets. */
  shutdown(): Promise<void> {
    return new Promise((resolve) => {
      this.#tasks.push(() => {
        this.#ports.stateMachine.onShutdown?.();
        resolve();
      });
      this.#run();
    });
  }

  enqueue(task: () => void | Promise<void>): void {
    this.#tasks.push(() => (this.#error === undefined ? task() : undefined));
    this.#run();
  }

  #enqueueWaiting(task: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(async () => {
        if (this.#error !== undefined) {
          reject(this.#error.error);
          return;
        }
        await task().then(resolve, reject);
        this.#activity = 'idle';
      });
      this.#run();
    });
  }

  #run(): void {
    if (this.#busy) return;
    this.#busy = true;
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      let outcome: void | Promise<void>;
      try {
        outcome = task();
      } catch (error) {
        this.#stateMachineFailed(error);
        continue;
      }
      if (outcome === undefined) continue;
      outcome
        .catch((error: unknown) => {
          this.#stateMachineFailed(error);
        })
        .finally(() => {
          this.#busy = false;
          this.#run();
        });
      return;
    }
    this.#busy = false;
  }

  #applyCommitted(): void | Promise<void> {
    this.#activity = 'applying';
    while (this.#applied < this.#committed && this.#error === undefined) {
      const from = next(this.#applied);
      const to = LogIndex(Math.min(this.#committed, this.#applied + APPLY_ENTRIES_MAX));
      const entries = this.#ports.entries(from, { to, bytesMax: READ_BYTES_MAX });
      if (entries instanceof Promise) return this.#applyRead(entries);
      this.#applyEntries(entries);
      // A long backlog must not keep heartbeats waiting.
      if (this.#applied < this.#committed) return this.#pause();
    }
    this.#activity = 'idle';
  }

  async #applyRead(reading: Promise<readonly LogEntry[] | undefined>): Promise<void> {
    let entries: readonly LogEntry[] | undefined;
    try {
      entries = await reading;
    } catch (error) {
      this.#ports.onError({ type: 'log', error: asRaftError(error) });
      return;
    }
    if (entries === undefined) {
      const at = String(this.#applied + 1);
      const error = new RaftError('EIO', `the committed entry at index ${at} is missing`);
      this.#ports.onError({ type: 'log', error });
      return;
    }
    this.#applyEntries(entries);
    await this.#pause();
  }

  #pause(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#ports.clock.afterPendingInput(resolve);
    }).then(() => this.#applyCommitted());
  }

  #applyEntries(entries: readonly LogEntry[]): void {
    let run: Extract<LogEntry, { kind: 'data' }>[] = [];
    for (const entry of entries) {
      if (entry.kind === 'data') {
        run.push(entry);
        continue;
      }
      if (!this.#applyRun(run)) return;
      run = [];
      this.#applied = entry.id.index;
      if (entry.kind === 'configuration') this.#applyConfiguration(entry);
      this.#ports.onApplied(this.#applied);
      this.#announceLeader();
    }
    if (this.#applyRun(run) && run.length > 0) this.#ports.onApplied(this.#applied);
  }

  /** False when the state machine gave up within the run. */
  #applyRun(run: readonly Extract<LogEntry, { kind: 'data' }>[]): boolean {
    const last = run.at(-1);
    if (last === undefined) return true;
    const { pending, stateMachine } = this.#ports;
    const iterator = new EntryIterator(run, (id) => pending.contextAt(id));
    stateMachine.onApply(iterator);
    if (iterator.valid()) iterator.setErrorAndRollback(1, 'onApply returned before the end');
    const rollback = iterator.rollback();
    const end = rollback === undefined ? last.id.index : rollback.first - 1;
    for (const { id } of run) if (id.index <= end) pending.applied(id.index);
    this.#applied = LogIndex(Math.max(this.#applied, end));
    if (rollback === undefined) return true;
    const text = `the state machine gave up at index ${String(rollback.first)}: ${rollback.reason}`;
    const error = new RaftError('ESTATEMACHINE', text, { outcome: 'unknown' });
    for (const { id } of run) pending.failAt(id.index, error);
    this.#ports.onError({ type: 'stateMachine', error });
    return false;
  }

  #applyConfiguration(entry: Extract<LogEntry, { kind: 'configuration' }>): void {
    const { configuration } = entry.configuration;
    if (configuration.outgoing !== undefined) return;
    this.#ports.stateMachine.onConfigurationCommitted?.(configuration, entry.id.index);
  }

  #announceLeader(): void {
    const start = this.#leaderStart;
    if (start === undefined || this.#applied < start.index) return;
    this.#leaderStart = undefined;
    this.#ports.stateMachine.onLeaderStart?.(start.term);
  }

  async #loadFrom(reader: SnapshotReader, meta: SnapshotMeta): Promise<void> {
    const { index } = meta.lastIncluded;
    const { stateMachine } = this.#ports;
    if (stateMachine.onSnapshotLoad === undefined) {
      throw new RaftError('ESTATEMACHINE', 'the state machine cannot load snapshots');
    }
    await stateMachine.onSnapshotLoad(reader);
    this.#applied = index;
    if (this.#committed < index) this.#committed = index;
    const { configuration } = meta.configuration;
    if (configuration.outgoing === undefined) {
      stateMachine.onConfigurationCommitted?.(configuration, meta.configurationIndex);
    }
    this.#ports.onApplied(index);
  }

  #stateMachineFailed(error: unknown): void {
    const cause = asRaftError(error);
    const text = `the state machine threw: ${cause.message}`;
    const failure = new RaftError('ESTATEMACHINE', text, { cause: error, outcome: 'unknown' });
    this.#ports.onError({ type: 'stateMachine', error: failure });
  }
}
