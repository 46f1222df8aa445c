import { describe, expect, it } from '@jest/globals';
import { Answers } from '../../../server/atomic/answers.ts';
import { encodeBatch, encodeRegisterSession } from '../../../server/atomic/command.ts';
import { AtomicStateMachine } from '../../../server/atomic/state-machine.ts';
import { OneEntry, applyData } from '../../support/atomic-node.ts';
import { int64Values, writes, type Write } from '../../support/atomic-writes.ts';

type Once = {
  readonly sessionId: number;
  readonly serial: number;
  readonly lowestUnanswered?: number;
};

/** A state machine with a log of its own. */
class Log {
  readonly machine = new AtomicStateMachine();
  #index = 0;

  register(limits = { sessionsMax: 10, answersMax: 100 }): number {
    applyData(this.machine, ++this.#index, encodeRegisterSession(limits));
    return this.#index;
  }

  /** The values before each write, or 'expired'. */
  write(id: Once, operations: readonly Write[]): bigint[] | 'expired' {
    const writeId = { lowestUnanswered: 1, ...id };
    const answers = new Answers(operations.length);
    const data = encodeBatch([{ ...writes(operations), writeId }]);
    this.machine.onApply(
      new OneEntry(++this.#index, { data, context: { answers, applied: false } }),
    );
    return answers.isExpired(0) ? 'expired' : int64Values(answers.oldValues);
  }

  get(id: bigint): bigint | undefined {
    return this.machine.state.counters.get(id);
  }
}

const set = (value: bigint): Write => ['exchange', 1n, value];

describe('exactly-once writes', () => {
  it('answers a repeat with the stored answer and executes nothing', () => {
    const log = new Log();
    const sessionId = log.register();
    expect(log.write({ sessionId, serial: 1 }, [set(5n)])).toEqual([0n]);
    expect(log.write({ sessionId, serial: 2 }, [set(6n)])).toEqual([5n]);
    expect(log.write({ sessionId, serial: 1 }, [set(5n)])).toEqual([0n]);
    expect(log.get(1n)).toBe(6n);
  });

  it('repeats a failed compare-exchange as failed', () => {
    const log = new Log();
    const sessionId = log.register();
    expect(log.write({ sessionId, serial: 1 }, [['cas', 1n, 7n, 8n]])).toEqual([0n]);
    log.write({ sessionId, serial: 2 }, [set(7n)]);
    expect(log.write({ sessionId, serial: 1 }, [['cas', 1n, 7n, 8n]])).toEqual([0n]);
    expect(log.get(1n)).toBe(7n);
  });

  it('executes only what a partly repeated batch adds', () => {
    const log = new Log();
    const sessionId = log.register();
    log.write({ sessionId, serial: 3 }, [set(3n), set(4n)]);
    const all = [set(1n), set(2n), set(3n), set(4n), set(5n)];
    expect(log.write({ sessionId, serial: 1 }, all)).toEqual([4n, 1n, 0n, 3n, 2n]);
    expect(log.get(1n)).toBe(5n);
    expect(log.write({ sessionId, serial: 1 }, all)).toEqual([4n, 1n, 0n, 3n, 2n]);
    expect(log.machine.state.sessions.answers).toBe(5);
  });

  it('executes serials that come out of order once each', () => {
    const log = new Log();
    const sessionId = log.register();
    expect(log.write({ sessionId, serial: 2 }, [set(2n)])).toEqual([0n]);
    expect(log.write({ sessionId, serial: 1 }, [set(1n)])).toEqual([2n]);
    expect(log.write({ sessionId, serial: 2 }, [set(2n)])).toEqual([0n]);
    expect(log.get(1n)).toBe(1n);
  });

  it('expires an unknown session without executing', () => {
    const log = new Log();
    expect(log.write({ sessionId: 77, serial: 1 }, [set(1n)])).toBe('expired');
    expect(log.get(1n)).toBeUndefined();
  });

  it('forgets answers below the lowest unanswered serial, and never executes those again', () => {
    const log = new Log();
    const sessionId = log.register();
    log.write({ sessionId, serial: 1 }, [set(1n)]);
    log.write({ sessionId, serial: 2, lowestUnanswered: 2 }, [set(2n)]);
    expect(log.machine.state.sessions.answers).toBe(1);
    expect(log.write({ sessionId, serial: 1 }, [set(1n)])).toBe('expired');
    expect(log.get(1n)).toBe(2n);
  });

  it('evicts the least recently used session first', () => {
    const log = new Log();
    const limits = { sessionsMax: 2, answersMax: 100 };
    const [first, second] = [log.register(limits), log.register(limits)];
    log.write({ sessionId: first, serial: 1 }, [set(1n)]);
    const third = log.register(limits);
    expect(log.write({ sessionId: second, serial: 1 }, [set(2n)])).toBe('expired');
    expect(log.write({ sessionId: first, serial: 2 }, [set(3n)])).toEqual([1n]);
    expect(log.write({ sessionId: third, serial: 1 }, [set(4n)])).toEqual([3n]);
  });

  it('evicts whole sessions when too many answers are kept', () => {
    const log = new Log();
    const limits = { sessionsMax: 5, answersMax: 3 };
    const [first, second] = [log.register(limits), log.register(limits)];
    log.write({ sessionId: first, serial: 1 }, [set(1n), set(2n)]);
    log.write({ sessionId: second, serial: 1 }, [set(3n), set(4n)]);
    expect(log.write({ sessionId: first, serial: 1 }, [set(1n)])).toBe('expired');
    expect(log.write({ sessionId: second, serial: 1 }, [set(3n)])).toEqual([2n]);
    expect(log.machine.state.sessions.answers).toBe(2);
  });

  it('answers a batch larger than the table once, and then forgets its session', () => {
    const log = new Log();
    const sessionId = log.register({ sessionsMax: 5, answersMax: 1 });
    expect(log.write({ sessionId, serial: 1 }, [set(1n), set(2n)])).toEqual([0n, 1n]);
    expect(log.write({ sessionId, serial: 1 }, [set(1n), set(2n)])).toBe('expired');
    expect(log.machine.state.sessions.answers).toBe(0);
  });

  it('has a hash that shows kept answers, their use and the limits', () => {
    const log = new Log();
    const seen = [log.machine.state.hash()];
    const sessionId = log.register();
    seen.push(log.machine.state.hash());
    log.write({ sessionId, serial: 1 }, [['cas', 1n, 7n, 8n]]);
    seen.push(log.machine.state.hash());
    log.write({ sessionId, serial: 1 }, [['cas', 1n, 7n, 8n]]);
    seen.push(log.machine.state.hash());
    expect(new Set(seen).size).toBe(4);
  });
});
