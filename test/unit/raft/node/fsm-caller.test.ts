import { describe, expect, it } from '@jest/globals';
import { configurationOf, initialRecord } from '../../../../server/raft/core/configuration.ts';
import type { LogEntry } from '../../../../server/raft/core/entry.ts';
import { LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { SnapshotMeta } from '../../../../server/raft/core/message.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import { FsmCaller, type FsmPorts } from '../../../../server/raft/node/fsm-caller.ts';
import { PendingTasks } from '../../../../server/raft/node/pending.ts';
import type { NodeError, StateMachine } from '../../../../server/raft/node/state-machine.ts';
import type { SnapshotReader } from '../../../../server/raft/storage/snapshot-storage.ts';
import { peer } from '../../../support/core-cluster.ts';
import { ManualClock, settled } from '../../../support/manual-clock.ts';

const id = (index: number) => ({ term: Term(2), index: LogIndex(index) });
const data = (index: number): LogEntry => ({
  kind: 'data',
  id: id(index),
  data: new Uint8Array([index]),
});
const configuration = (index: number): LogEntry => ({
  kind: 'configuration',
  id: id(index),
  configuration: initialRecord(new Set([peer('a')])),
});
const joint = (index: number): LogEntry => ({
  kind: 'configuration',
  id: id(index),
  configuration: {
    ...initialRecord(new Set()),
    configuration: { ...configurationOf(new Set([peer('a')])), outgoing: new Set([peer('b')]) },
  },
});
const metaAt = (index: number): SnapshotMeta => ({
  lastIncluded: id(index),
  configuration: initialRecord(new Set([peer('a')])),
  configurationIndex: LogIndex(1),
});
const readerOf = (meta: SnapshotMeta): SnapshotReader => ({
  meta,
  path: '/snapshot',
  files: [],
  read: () => Promise.resolve(new Uint8Array()),
  close: () => Promise.resolve(),
});

/** A caller over a log that the test can cut short, and everything its machine was told. */
class Bench {
  readonly calls: string[] = [];
  readonly errors: NodeError[] = [];
  readonly applied: number[] = [];
  readonly pending = new PendingTasks<string>({ tasksMax: 100, bytesMax: 1_000 });
  log: LogEntry[];
  /** Entries below this are not in memory. */
  inMemoryFrom = 0;
  /** Entries below this are nowhere. */
  goneBelow = 0;
  readonly fsm: FsmCaller<string>;

  constructor(log: LogEntry[], machine: Partial<StateMachine<string>> = {}) {
    this.log = log;
    const stateMachine: StateMachine<string> = {
      onApply: (iterator) => {
        const run: number[] = [];
        while (iterator.valid()) {
          run.push(iterator.index());
          iterator.next();
        }
        this.calls.push(`apply ${run.join(' ')}`);
      },
      onSnapshotLoad: (reader) => {
        this.calls.push(`load ${String(reader.meta.lastIncluded.index)}`);
        return Promise.resolve();
      },
      onLeaderStart: (term) => this.calls.push(`leaderStart ${String(term)}`),
      onLeaderStop: () => this.calls.push('leaderStop'),
      onConfigurationCommitted: (_, index) => this.calls.push(`configuration ${String(index)}`),
      onError: () => this.calls.push('error'),
      onShutdown: () => this.calls.push('shutdown'),
      ...machine,
    };
    const ports: FsmPorts<string> = {
      stateMachine,
      pending: this.pending,
      clock: new ManualClock(),
      entries: (from, { to }) => this.#entries(from, to),
      onApplied: (index) => this.applied.push(index),
      onError: (error) => {
        this.errors.push(error);
        this.fsm.fail(error);
      },
    };
    this.fsm = new FsmCaller(ports, LogIndex(0));
  }

  #entries(from: number, to: number): ReturnType<FsmPorts<string>['entries']> {
    const found = this.log.filter((entry) => entry.id.index >= from && entry.id.index <= to);
    if (from >= this.inMemoryFrom) return found;
    return Promise.resolve(from < this.goneBelow ? undefined : found);
  }
}

const reason = new RaftError('EPERM', 'stepped down');
const rising = (count: number): LogEntry[] =>
  Array.from({ length: count }, (_, position) => data(position + 1));

describe('FsmCaller', () => {
  it('one onApply per run of DATA entries; joint configurations stay hidden', () => {
    const bench = new Bench([data(1), data(2), joint(3), data(4), configuration(5), data(6)]);
    bench.fsm.commit(LogIndex(6));
    expect(bench.calls).toEqual(['apply 1 2', 'apply 4', 'configuration 5', 'apply 6']);
    expect(bench.applied.at(-1)).toBe(6);
  });

  it('leaderStart waits for the leader entry; a leader that stops before never starts', () => {
    const bench = new Bench([data(1), configuration(2), data(3)]);
    bench.fsm.leaderStart(LogIndex(2), Term(2));
    bench.fsm.commit(LogIndex(3));
    bench.fsm.leaderStart(LogIndex(9), Term(4));
    bench.fsm.leaderStop(reason);
    expect(bench.calls).toEqual([
      'apply 1',
      'configuration 2',
      'leaderStart 2',
      'apply 3',
      'leaderStop',
    ]);
  });

  it('a later commit does not overtake what was queued before it', async () => {
    const bench = new Bench(rising(6));
    bench.inMemoryFrom = 5;
    bench.fsm.commit(LogIndex(2));
    bench.fsm.commit(LogIndex(3));
    bench.fsm.leaderStop(reason);
    bench.fsm.commit(LogIndex(6));
    await settled();
    expect(bench.calls).toEqual(['apply 1 2', 'apply 3', 'leaderStop', 'apply 4 5 6']);
  });

  it('a backlog that a waiting snapshot replaces is skipped, and what follows it is applied', async () => {
    const bench = new Bench(rising(12));
    bench.inMemoryFrom = 11;
    bench.goneBelow = 11;
    const task = new Promise((resolve, reject) => {
      bench.pending.add(1, { context: undefined, bytes: 1, resolve, reject });
      bench.pending.proposed(1, id(3));
    });
    const answered = expect(task).rejects.toMatchObject({ outcome: 'unknown' });
    bench.fsm.commit(LogIndex(5));
    const loaded = bench.fsm.load(metaAt(10), () => Promise.resolve(readerOf(metaAt(10))));
    bench.fsm.commit(LogIndex(12));
    await loaded;
    await settled();
    expect(bench.calls).toEqual(['load 10', 'configuration 1', 'apply 11 12']);
    expect(bench.errors).toEqual([]);
    await answered;
  });

  it('a committed entry that is missing without such a snapshot stops the node', async () => {
    const bench = new Bench(rising(5));
    bench.inMemoryFrom = 3;
    bench.goneBelow = 3;
    bench.fsm.commit(LogIndex(5));
    await settled();
    expect(bench.errors.map(({ type }) => type)).toEqual(['log']);
    expect(bench.calls).toEqual(['error']);
  });

  it('of two snapshots installed in a row the newer one is loaded once', async () => {
    const bench = new Bench(rising(30));
    const newest = readerOf(metaAt(20));
    const first = bench.fsm.load(metaAt(10), () => Promise.resolve(newest));
    const second = bench.fsm.load(metaAt(20), () => Promise.resolve(newest));
    bench.fsm.commit(LogIndex(21));
    await Promise.all([first, second]);
    await settled();
    expect(bench.calls).toEqual(['load 20', 'configuration 1', 'apply 21']);
  });

  it('a snapshot that could not be made durable is not loaded', async () => {
    const bench = new Bench([]);
    const loading = bench.fsm.load(metaAt(10), () => {
      bench.fsm.fail({ type: 'log', error: new RaftError('EIO', 'sync failed') });
      return Promise.resolve(readerOf(metaAt(10)));
    });
    await expect(loading).rejects.toMatchObject({ code: 'EIO' });
    expect(bench.calls).toEqual(['error']);
  });

  it('after a failure nothing is called but onShutdown, and a waiting save is answered', async () => {
    const bench = new Bench(rising(3));
    const error = new RaftError('EIO', 'broken');
    bench.fsm.fail({ type: 'log', error });
    bench.fsm.fail({ type: 'log', error });
    bench.fsm.commit(LogIndex(3));
    bench.fsm.leaderStop(reason);
    const save = bench.fsm.save(() => Promise.resolve());
    await expect(save).rejects.toBe(error);
    await bench.fsm.shutdown();
    expect(bench.calls).toEqual(['error', 'shutdown']);
  });

  it('saving holds the queue only until the state is fixed', async () => {
    const bench = new Bench(rising(2));
    bench.fsm.commit(LogIndex(1));
    const written = Promise.withResolvers<undefined>();
    const saved = bench.fsm.save(async (applied, fixed) => {
      bench.calls.push(`save ${String(applied)}`);
      await Promise.resolve();
      fixed();
      await written.promise;
    });
    bench.fsm.commit(LogIndex(2));
    await settled();
    expect(bench.calls).toEqual(['apply 1', 'save 1', 'apply 2']);
    written.resolve(undefined);
    await saved;
  });

  it.each([
    ['the current entry', 1, 3, 2],
    ['the current one and the one before', 2, 2, 1],
    ['more than the run holds', 9, 1, 0],
  ])('a rollback of %s leaves the others applied', async (_, entries, firstFailed, kept) => {
    const bench = new Bench(rising(4), {
      onApply: (iterator) => {
        while (iterator.valid() && iterator.index() !== LogIndex(3)) iterator.next();
        iterator.setErrorAndRollback(entries, 'full');
      },
    });
    const outcomes = rising(4).map(
      ({ id: logId }) =>
        new Promise<string>((resolve) => {
          const ticket = logId.index;
          bench.pending.add(ticket, {
            context: undefined,
            bytes: 1,
            resolve: () => {
              resolve('applied');
            },
            reject: ({ code }) => {
              resolve(code);
            },
          });
          bench.pending.proposed(ticket, logId);
        }),
    );
    bench.fsm.commit(LogIndex(4));
    const expected = [1, 2, 3, 4].map((n) => (n < firstFailed ? 'applied' : 'ESTATEMACHINE'));
    await expect(Promise.all(outcomes)).resolves.toEqual(expected);
    expect(bench.fsm.appliedIndex()).toBe(kept);
    expect(bench.errors.map(({ type }) => type)).toEqual(['stateMachine']);
  });

  it('a state machine that throws stops the node', () => {
    const bench = new Bench(rising(1), {
      onApply: () => {
        throw new Error('bug');
      },
    });
    bench.fsm.commit(LogIndex(1));
    expect(bench.errors[0]?.error.code).toBe('ESTATEMACHINE');
    expect(bench.fsm.appliedIndex()).toBe(0);
  });
});
