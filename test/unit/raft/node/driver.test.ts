import { describe, expect, it } from '@jest/globals';
import type { Effect } from '../../../../server/raft/core/effect.ts';
import type { Event } from '../../../../server/raft/core/event.ts';
import { LogIndex, MonotonicMs, Term } from '../../../../server/raft/core/ids.ts';
import type { Message } from '../../../../server/raft/core/message.ts';
import { createState, type RaftState } from '../../../../server/raft/core/state.ts';
import { Driver } from '../../../../server/raft/node/driver.ts';
import { diskOf, peer } from '../../../support/core-cluster.ts';
import { ManualClock, settled } from '../../../support/manual-clock.ts';

const now = MonotonicMs(0);
const applied = (index: number): Event => ({ type: 'applied', index: LogIndex(index) });
const message = (round: number): Message => ({
  type: 'heartbeatRequest',
  term: Term(1),
  from: peer('a'),
  fromIncarnation: diskOf('a'),
  to: peer('b'),
  toIncarnation: undefined,
  commitIndex: LogIndex(0),
  round,
  transferId: 0,
});
const roundOf = (sent: Message): number => (sent.type === 'heartbeatRequest' ? sent.round : -1);

function stateOf(electionTimeoutMs: number): RaftState {
  return createState(
    {
      id: peer('a'),
      incarnation: diskOf('a'),
      seed: 1,
      electionTimeoutMs,
      clockDriftMaxMs: 0,
      leaderLease: false,
      catchUpTimeoutMs: 0,
      catchUpTotalTimeoutMs: 0,
      catchUpMarginEntries: 0,
      appendBytesMax: 1,
      inFlightEntriesMax: 1,
      inFlightBytesMax: 1,
      recentBytesMax: 1,
      formatVersionMax: 1,
    },
    {
      now,
      hardState: { term: Term(1), votedFor: undefined, votedIncarnation: undefined },
      log: { firstIndex: LogIndex(1), lastIndex: LogIndex(0), termRuns: [], configurations: [] },
      snapshot: undefined,
      reset: undefined,
      initialVoters: new Set([peer('a')]),
      joined: true,
      firstStart: true,
    },
  );
}

/** A driver around a scripted core. */
class Bench {
  readonly events: Event[] = [];
  readonly sends: number[][] = [];
  readonly faults: unknown[] = [];
  readonly clock = new ManualClock();
  readonly driver: Driver;
  /** What the core answers to an event. */
  script: (event: Event) => readonly Effect[] = () => [];
  carryOut: (effect: Effect) => void = () => undefined;

  constructor(electionTimeoutMs = 1_000) {
    this.driver = new Driver({
      state: stateOf(electionTimeoutMs),
      step: (_, event) => {
        this.events.push(event);
        return [...this.script(event)];
      },
      clock: this.clock,
      carryOut: (effect) => {
        this.carryOut(effect);
      },
      send: (messages) => this.sends.push(messages.map(roundOf)),
      onFault: (error) => this.faults.push(error),
    });
  }
}

const commit = (index: number): Effect => ({ type: 'commit', index: LogIndex(index) });
const send = (round: number): Effect => ({ type: 'send', message: message(round) });

describe('Driver', () => {
  it('events that effects cause wait their turn, and all messages of a turn leave at once', () => {
    const bench = new Bench();
    const order: string[] = [];
    bench.script = (event) => {
      if (event.type !== 'applied') return [];
      order.push(`step ${String(event.index)}`);
      return [commit(event.index), send(event.index)];
    };
    bench.carryOut = (effect) => {
      if (effect.type !== 'commit') return;
      if (effect.index < 3) bench.driver.submit(applied(effect.index + 1));
      order.push(`effect ${String(effect.index)}`);
      expect(bench.sends).toEqual([]);
    };
    bench.driver.submit(applied(1));
    expect(order).toEqual(['step 1', 'effect 1', 'step 2', 'effect 2', 'step 3', 'effect 3']);
    expect(bench.sends).toEqual([[1, 2, 3]]);
  });

  it('what became durable between turns leaves at once', () => {
    const bench = new Bench();
    bench.driver.sendNow([message(7)]);
    expect(bench.sends).toEqual([[7]]);
  });

  it('ticks four times per heartbeat interval, and never late when it is not', async () => {
    const bench = new Bench();
    bench.driver.start();
    await bench.clock.advance(1_000, 5);
    const ticks = bench.events.filter((event) => event.type === 'tick');
    expect(ticks).toHaveLength(40);
    expect(ticks.every(({ lateByMs }) => lateByMs === 0)).toBe(true);
  });

  it('after a stall what has arrived is heard first, and the tick says how late it is', async () => {
    const bench = new Bench();
    bench.driver.start();
    const advancing = bench.clock.advance(3_000, 3_000);
    bench.driver.submit({ type: 'message', now, message: message(1) });
    await advancing;
    expect(bench.events.map(({ type }) => type)).toEqual(['message', 'tick']);
    expect(bench.events[1]).toMatchObject({ lateByMs: 2_975 });
  });

  it('stopping handles one last event and takes no more', async () => {
    const bench = new Bench();
    bench.driver.start();
    bench.script = (event) => (event.type === 'resign' ? [send(1)] : []);
    bench.driver.stop({ type: 'resign', now, wakeSuccessor: true });
    bench.driver.submit(applied(1));
    bench.driver.sendNow([message(2)]);
    await bench.clock.advance(1_000);
    expect(bench.events.map(({ type }) => type)).toEqual(['resign']);
    expect(bench.sends).toEqual([[1]]);
  });

  it('stopping in the middle of a turn still handles the last event', () => {
    const bench = new Bench();
    bench.script = ({ type }) => (type === 'applied' ? [commit(1)] : [send(9)]);
    bench.carryOut = () => {
      bench.driver.submit(applied(2));
      bench.driver.stop({ type: 'resign', now, wakeSuccessor: true });
    };
    bench.driver.submit(applied(1));
    expect(bench.events.map(({ type }) => type)).toEqual(['applied', 'resign']);
    expect(bench.sends).toEqual([[9]]);
  });

  it.each<[string, (bench: Bench, fault: Error) => void]>([
    [
      'the core',
      (bench, fault) => {
        bench.script = () => {
          throw fault;
        };
      },
    ],
    [
      'an effect',
      (bench, fault) => {
        bench.script = () => [send(1), commit(1)];
        bench.carryOut = () => {
          throw fault;
        };
      },
    ],
  ])('a fault in %s stops the loop and sends nothing', async (_, plant) => {
    const bench = new Bench();
    const fault = new Error('a bug');
    plant(bench, fault);
    bench.driver.submit(applied(1));
    bench.driver.submit(applied(2));
    await settled();
    expect(bench.faults).toEqual([fault]);
    expect(bench.events).toHaveLength(1);
    expect(bench.sends).toEqual([]);
  });
});
