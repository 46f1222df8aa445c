import { describe, expect, it } from '@jest/globals';
import { LogIndex, Term } from '../../../../server/raft/core/ids.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import { PendingRequests, PendingTasks } from '../../../../server/raft/node/pending.ts';

const id = (index: number, term = 2) => ({ term: Term(term), index: LogIndex(index) });
const error = (outcome: 'notProposed' | 'unknown') => new RaftError('EPERM', 'no', { outcome });

/** Adds tasks and writes down how each one ended, and how often. */
class Bench {
  readonly ends: string[] = [];
  readonly tasks: PendingTasks<string>;

  constructor(limits = { tasksMax: 10, bytesMax: 1_000 }) {
    this.tasks = new PendingTasks(limits);
  }

  add(ticket: number, bytes = 1): void {
    this.tasks.add(ticket, {
      context: `context ${String(ticket)}`,
      bytes,
      resolve: ({ index }) => this.ends.push(`${String(ticket)} at ${String(index)}`),
      reject: ({ outcome }) => this.ends.push(`${String(ticket)} ${outcome}`),
    });
  }
}

describe('PendingTasks', () => {
  it('the bounds count tasks and bytes until they are answered', () => {
    const bench = new Bench({ tasksMax: 2, bytesMax: 100 });
    bench.add(1, 60);
    expect(bench.tasks.isFull(40)).toBe(false);
    expect(bench.tasks.isFull(41)).toBe(true);
    bench.add(2, 10);
    expect(bench.tasks.isFull(1)).toBe(true);
    bench.tasks.proposed(1, id(5));
    expect(bench.tasks.isFull(1)).toBe(true);
    bench.tasks.applied(id(5));
    expect(bench.tasks.isFull(90)).toBe(false);
  });

  it('leadership lost: what is above the commit index is unknown, the rest is still applied', () => {
    const bench = new Bench();
    for (const index of [1, 2, 3]) {
      bench.add(index);
      bench.tasks.proposed(index, id(index));
    }
    bench.tasks.failAbove(LogIndex(1), error('unknown'));
    bench.tasks.applied(id(1));
    bench.tasks.applied(id(2));
    expect(bench.ends).toEqual(['2 unknown', '3 unknown', '1 at 1']);
    expect(bench.tasks.size()).toBe(0);
  });

  it('a context belongs to one term: an entry of another leader has none', () => {
    const bench = new Bench();
    bench.add(1);
    bench.tasks.proposed(1, id(7, 2));
    expect(bench.tasks.contextAt(id(7, 2))).toBe('context 1');
    expect(bench.tasks.contextAt(id(7, 3))).toBeUndefined();
  });

  it('an entry of another leader at its index does not acknowledge a task', () => {
    const bench = new Bench();
    bench.add(1);
    bench.tasks.proposed(1, id(7, 2));
    bench.tasks.applied(id(7, 3));
    expect(bench.ends).toEqual(['1 unknown']);
    expect(bench.tasks.size()).toBe(0);
  });

  it('at the end everything is answered exactly once, with what is known of it', () => {
    const bench = new Bench();
    bench.add(1);
    bench.add(2);
    bench.add(3);
    bench.tasks.proposed(1, id(4));
    bench.tasks.refuse(3, error('notProposed'));
    bench.tasks.failAll(error);
    bench.tasks.failAll(error);
    bench.tasks.applied(id(4));
    expect(bench.ends.sort()).toEqual(['1 unknown', '2 notProposed', '3 notProposed']);
  });
});

describe('PendingRequests', () => {
  it('a request opened after the end is refused at once', async () => {
    const requests = new PendingRequests(() => 1);
    const waiting = requests.open();
    requests.failAll(error('unknown'));
    await expect(waiting.promise).rejects.toMatchObject({ code: 'EPERM' });
    await expect(requests.open().promise).rejects.toMatchObject({ code: 'EPERM' });
  });
});
