import type { LogEntry } from '../core/entry.ts';
import { LogIndex, next, type Term } from '../core/ids.ts';
import type { SnapshotMeta } from '../core/message.ts';
import { asRaftError, RaftError } from '../error.ts';
import type { SnapshotReader } from '../storage/snapshot-storage.ts';
import type { Clock } from './clock.ts';
import { EntryIterator } from './entry-iterator.ts';
import type { PendingTasks } from './pending.ts';
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
  /** The commit at the very end of the queue: a later one joins it; nothing may overtake. */
  #lastCommit: { to: LogIndex } | undefined;
  #busy = false;
  #applied: LogIndex;
  /** Snapshots up to here are queued to be loaded: entries they cover may be gone already. */
  #loadingTo = LogIndex(0);
  /** The snapshot that the state came from last. */
  #loaded: LogIndex | undefined;
  #error: NodeError | undefined;
  #leaderStart: { readonly index: LogIndex; readonly term: Term } | undefined;
  #activity: 'idle' | 'applying' | 'saving' | 'loading' = 'idle';

  constructor(ports: FsmPorts<Context>, applied: LogIndex) {
    this.#ports = ports;
    this.#applied = applied;
  }

  appliedIndex(): LogIndex {
    return this.#applied;
  }

  activity(): 'idle' | 'applying' | 'saving' | 'loading' {
    return this.#activity;
  }

  /** Entries up to `index` are committed. Several in a row become one run. */
  commit(index: LogIndex): void {
    if (this.#lastCommit !== undefined) {
      this.#lastCommit.to = index;
      return;
    }
    const commit = { to: index };
    this.#push(() => {
      if (this.#lastCommit === commit) this.#lastCommit = undefined;
      return this.#error === undefined ? this.#applyTo(commit.to) : undefined;
    }, commit);
    this.#run();
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
    this.#loadingTo = LogIndex(Math.max(this.#loadingTo, meta.lastIncluded.index));
    return this.#enqueueWaiting(async () => {
      this.#activity = 'loading';
      const reader = await open();
      if (reader === undefined) throw new RaftError('ENODATA', 'the snapshot is gone');
      try {
        // A failure while it was made durable ends everything.
        if (this.#error !== undefined) throw this.#error.error;
        await this.#loadFrom(reader);
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
      this.#push(() => {
        if (this.#error !== undefined) {
          reject(this.#error.error);
          return;
        }
        return new Promise<void>((fixed) => {
          run(this.#applied, fixed).then(resolve, reject).finally(fixed);
        });
      });
      this.#run();
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
      this.#push(() => {
        resolve();
        this.#ports.stateMachine.onShutdown?.();
      });
      this.#run();
    });
  }

  enqueue(task: () => void): void {
    this.#push(() => {
      if (this.#error === undefined) task();
    });
    this.#run();
  }

  #push(task: () => void | Promise<void>, commit?: { to: LogIndex }): void {
    this.#lastCommit = commit;
    this.#tasks.push(task);
  }

  #enqueueWaiting(task: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#push(async () => {
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

  #applyTo(committed: LogIndex): void | Promise<void> {
    this.#activity = 'applying';
    while (this.#applied < committed && this.#error === undefined) {
      const from = next(this.#applied);
      const to = LogIndex(Math.min(committed, this.#applied + APPLY_ENTRIES_MAX));
      const entries = this.#ports.entries(from, { to, bytesMax: READ_BYTES_MAX });
      if (entries instanceof Promise) return this.#applyRead(entries, committed);
      this.#applyEntries(entries);
      // A long backlog must not keep heartbeats waiting.
      if (this.#applied < committed) return this.#pause(committed);
    }
    this.#activity = 'idle';
  }

  async #applyRead(
    reading: Promise<readonly LogEntry[] | undefined>,
    committed: LogIndex,
  ): Promise<void> {
    let entries: readonly LogEntry[] | undefined;
    try {
      entries = await reading;
      if (entries === undefined) {
        const at = String(this.#applied + 1);
        throw new RaftError('EIO', `the committed entry at index ${at} is missing`);
      }
    } catch (error) {
      this.#activity = 'idle';
      // A snapshot that waits to be loaded has replaced this part of the log.
      if (this.#applied < this.#loadingTo) return;
      this.#ports.onError({ type: 'log', error: asRaftError(error) });
      return;
    }
    this.#applyEntries(entries);
    await this.#pause(committed);
  }

  #pause(committed: LogIndex): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#ports.clock.afterPendingInput(resolve);
    }).then(() => this.#applyTo(committed));
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
      this.#ports.pending.applied(entry.id);
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
    for (const { id } of run) if (id.index <= end) pending.applied(id);
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

  async #loadFrom(reader: SnapshotReader): Promise<void> {
    const { lastIncluded, configuration: record, configurationIndex } = reader.meta;
    const { index } = lastIncluded;
    // A newer one was installed before this one's turn came, and has been loaded in its place.
    if (this.#loaded === index) return;
    const { stateMachine, pending } = this.#ports;
    if (stateMachine.onSnapshotLoad === undefined) {
      throw new RaftError('ESTATEMACHINE', 'the state machine cannot load snapshots');
    }
    await stateMachine.onSnapshotLoad(reader);
    this.#applied = index;
    this.#loaded = index;
    // Tasks of a former leadership that the snapshot covers: done, but with which result is lost.
    const lost = 'a snapshot replaced the state before the result of this task was known';
    pending.failUpTo(index, new RaftError('EPERM', lost, { outcome: 'unknown' }));
    if (record.configuration.outgoing === undefined) {
      stateMachine.onConfigurationCommitted?.(record.configuration, configurationIndex);
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
