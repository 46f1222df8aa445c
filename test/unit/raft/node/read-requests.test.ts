import { describe, expect, it } from '@jest/globals';
import type { Event } from '../../../../server/raft/core/event.ts';
import { LogIndex, MonotonicMs } from '../../../../server/raft/core/ids.ts';
import { RaftError } from '../../../../server/raft/error.ts';
import { ReadRequests } from '../../../../server/raft/node/read-requests.ts';
import { settled } from '../../../support/manual-clock.ts';

class Bench {
  readonly asked: Extract<Event, { type: 'read' }>[] = [];
  applied = 0;
  leaseIsValid = true;
  #tickets = 0;
  readonly reads = new ReadRequests({
    now: () => MonotonicMs(0),
    newTicket: () => ++this.#tickets,
    submit: (event) => {
      if (event.type === 'read') this.asked.push(event);
    },
    appliedIndex: () => LogIndex(this.applied),
    isLeaseValid: () => this.leaseIsValid,
  });

  ready(index: number, byLease = false): void {
    const ticket = this.asked.at(-1)?.ticket ?? 0;
    this.reads.ready(ticket, { index: LogIndex(index), byLease });
  }
}

describe('ReadRequests', () => {
  it('all reads of one turn and one kind share one question', async () => {
    const bench = new Bench();
    const reads = [bench.reads.read('linearizable'), bench.reads.read('linearizable')];
    await settled();
    expect(bench.asked).toHaveLength(1);
    bench.ready(0);
    await expect(Promise.all(reads)).resolves.toEqual([0, 0]);
    const kinds = [bench.reads.read('linearizable'), bench.reads.read('lease')];
    await settled();
    expect(bench.asked.map(({ consistency }) => consistency).slice(1)).toEqual([
      'linearizable',
      'lease',
    ]);
    const ended = Promise.allSettled(kinds);
    bench.reads.failAll(new RaftError('EPERM', 'down'));
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('a read is answered only when what it must see is applied', async () => {
    const bench = new Bench();
    let answer: number | undefined;
    const read = bench.reads.read('linearizable').then((index) => {
      answer = index;
    });
    await settled();
    bench.ready(5);
    bench.applied = 4;
    bench.reads.applied();
    await settled();
    expect(answer).toBeUndefined();
    bench.applied = 6;
    bench.reads.applied();
    await read;
    expect(answer).toBe(5);
  });

  it('a lease that ran out while entries were applied is no answer: a majority is asked', async () => {
    const bench = new Bench();
    const read = bench.reads.read('lease');
    await settled();
    bench.ready(5, true);
    bench.leaseIsValid = false;
    bench.applied = 5;
    bench.reads.applied();
    expect(bench.asked.at(-1)?.consistency).toBe('linearizable');
    bench.ready(5);
    await expect(read).resolves.toBe(5);
  });

  it('a refusal reaches every reader of the question', async () => {
    const bench = new Bench();
    const reads = Promise.allSettled([bench.reads.read('lease'), bench.reads.read('lease')]);
    await settled();
    const error = new RaftError('EPERM', 'is not leader');
    expect(bench.reads.refuse(1, error)).toBe(true);
    expect(bench.reads.refuse(1, error)).toBe(false);
    for (const outcome of await reads) expect(outcome).toMatchObject({ reason: error });
  });

  it('reads that never got to ask are answered when the node stops, and ask nothing', async () => {
    const bench = new Bench();
    const read = bench.reads.read('linearizable');
    bench.reads.failAll(new RaftError('EPERM', 'down'));
    await expect(read).rejects.toMatchObject({ code: 'EPERM' });
    await settled();
    expect(bench.asked).toEqual([]);
  });
});
