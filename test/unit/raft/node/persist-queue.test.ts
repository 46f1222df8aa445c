import { describe, expect, it } from '@jest/globals';
import type { HardState } from '../../../../server/raft/core/event.ts';
import { initialRecord } from '../../../../server/raft/core/configuration.ts';
import { LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import type { SnapshotMeta } from '../../../../server/raft/core/message.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import { PersistQueue, type PersistPorts } from '../../../../server/raft/node/persist-queue.ts';
import { settled } from '../../../support/manual-clock.ts';

const hardState = (term: number): HardState => ({
  term: Term(term),
  votedFor: undefined,
  votedIncarnation: undefined,
});
const meta: SnapshotMeta = {
  lastIncluded: { term: Term(1), index: LogIndex(10) },
  configuration: initialRecord(new Set()),
  configurationIndex: LogIndex(1),
};

/** Disk operations that end only when the test says so. */
class Disk {
  readonly begun: string[] = [];
  readonly durable: number[] = [];
  readonly failures: string[] = [];
  readonly #open: { readonly name: string; readonly end: PromiseWithResolvers<undefined> }[] = [];
  readonly queue: PersistQueue;
  #writes = 0;

  constructor() {
    const begin = async (name: string): Promise<void> => {
      this.begun.push(name);
      const end = Promise.withResolvers<undefined>();
      this.#open.push({ name, end });
      await end.promise;
    };
    const never = (): never => {
      throw new Error('not used here');
    };
    const ports: PersistPorts = {
      log: {
        recovered: {
          firstIndex: LogIndex(1),
          lastIndex: LogIndex(0),
          termRuns: [],
          configurations: [],
        },
        write: ({ truncateFrom }) => begin(`write ${String(truncateFrom)}`),
        truncatePrefix: (first) => begin(`truncatePrefix ${String(first)}`),
        reset: (next) => begin(`reset ${String(next)}`),
        read: never,
        hasSpace: () => true,
        durableIndex: () => LogIndex(0),
        close: never,
        [Symbol.asyncDispose]: never,
      },
      meta: { recovered: hardState(1), save: ({ term }) => begin(`save ${String(term)}`) },
      snapshots: {
        recovered: undefined,
        open: never,
        save: never,
        receive: never,
        commitReceived: () => begin('commitReceived'),
        lastIndex: () => LogIndex(0),
      },
      onDurable: ({ lastLog }) => this.durable.push(lastLog.index),
      onFailure: ({ type, error }) => this.failures.push(`${type} ${error.code}`),
    };
    this.queue = new PersistQueue(ports);
  }

  /** The log write number n, counted from 1; with a term also a hard state. */
  write(term?: number): void {
    const index = LogIndex(++this.#writes);
    this.queue.push(
      {
        type: 'persist',
        write: { entries: [], truncateFrom: index },
        thenSend: [],
        ...(term !== undefined && { hardState: hardState(term) }),
      },
      { lastLog: { term: Term(1), index }, hardState: hardState(term ?? 1) },
    );
  }

  install(resetLog: boolean): void {
    const index = LogIndex(++this.#writes);
    this.queue.push(
      { type: 'install', meta, resetLog, thenSend: [] },
      { lastLog: { term: Term(1), index }, hardState: hardState(1) },
    );
  }

  async end(name: string, error?: RaftError): Promise<void> {
    await settled();
    const at = this.#open.findIndex((operation) => operation.name === name);
    const [operation] = this.#open.splice(at, 1);
    if (at < 0 || operation === undefined) throw new Error(`${name} was not begun`);
    if (error === undefined) operation.end.resolve(undefined);
    // A log that failed fails every later write too.
    else for (const { end } of [operation, ...this.#open.splice(0)]) end.reject(error);
    await settled();
  }
}

describe('PersistQueue', () => {
  it('hands plain writes to the log at once and reports them in order', async () => {
    const disk = new Disk();
    disk.write();
    disk.write();
    expect(disk.begun).toEqual(['write 1', 'write 2']);
    await disk.end('write 2');
    expect(disk.durable).toEqual([]);
    await disk.end('write 1');
    expect(disk.durable).toEqual([1, 2]);
  });

  it('saves the hard state before the log write, and holds back what follows', async () => {
    const disk = new Disk();
    disk.write(5);
    disk.write();
    await settled();
    expect(disk.begun).toEqual(['save 5']);
    await disk.end('save 5');
    expect(disk.begun).toEqual(['save 5', 'write 1']);
    await disk.end('write 1');
    await disk.end('write 2');
    expect(disk.durable).toEqual([1, 2]);
  });

  it.each([
    ['replaces the log', true, 'reset 11'],
    ['keeps what follows it in the log', false, 'truncatePrefix 11'],
  ])('a snapshot that %s is committed first', async (_, resetLog, cut) => {
    const disk = new Disk();
    disk.write();
    disk.install(resetLog);
    disk.write();
    await settled();
    expect(disk.begun).toEqual(['write 1']);
    await disk.end('write 1');
    await disk.end('commitReceived');
    expect(disk.begun).toEqual(['write 1', 'commitReceived', cut]);
    await disk.end(cut);
    await disk.end('write 3');
    expect(disk.durable).toEqual([1, 2, 3]);
  });

  it.each([
    ['a log write', undefined, 'write 1', 'log EIO'],
    ['the hard state', 7, 'save 7', 'stable EIO'],
  ])('%s that fails ends everything: nothing after it completes', async (_, term, name, told) => {
    const disk = new Disk();
    disk.write(term);
    disk.write();
    await disk.end(name, new RaftError('EIO', 'the disk is broken'));
    disk.write();
    await disk.queue.drain();
    expect(disk.failures).toEqual([told]);
    expect(disk.durable).toEqual([]);
  });

  it('deletes a prefix only behind what was queued before', async () => {
    const disk = new Disk();
    disk.write();
    disk.queue.compact(LogIndex(4));
    expect(disk.begun).toEqual(['write 1']);
    await disk.end('write 1');
    await disk.end('truncatePrefix 4');
    await disk.queue.drain();
    expect(disk.failures).toEqual([]);
  });
});
