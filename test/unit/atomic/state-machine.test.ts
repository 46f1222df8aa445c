import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  encodeBatch,
  encodeBraftCommand,
  encodeRegisterSession,
  type Command,
} from '../../../server/atomic/command.ts';
import { Answers } from '../../../server/atomic/answers.ts';
import { INT64_MAX, INT64_MIN } from '../../../server/atomic/int64.ts';
import { AtomicStateMachine } from '../../../server/atomic/state-machine.ts';
import { silentLogger } from '../../../server/raft/index.ts';
import { OneEntry, applyData } from '../../support/atomic-node.ts';
import { int64Values, writes, type Write } from '../../support/atomic-writes.ts';

type Single = Extract<Command, { type: 'get' | 'exchange' | 'compareExchange' }>;

/** Applies one batch; per operation 1 (done) or 2 (mismatch), and the values before. */
function applyBatch(machine: AtomicStateMachine, index: number, operations: readonly Write[]) {
  const answers = new Answers(operations.length);
  const data = encodeBatch([writes(operations)]);
  const entry = new OneEntry(index, { data, context: { answers, applied: false } });
  machine.onApply(entry);
  return { statuses: [...answers.statuses], old: int64Values(answers.oldValues) };
}

describe('results', () => {
  it.each<[string, bigint | undefined, Write, number, bigint, bigint | undefined]>([
    ['exchange on an absent id', undefined, ['exchange', 5n, 3n], 1, 0n, 3n],
    ['exchange to 0 on an absent id', undefined, ['exchange', 5n, 0n], 1, 0n, 0n],
    ['exchange on a present id', 7n, ['exchange', 5n, 3n], 1, 7n, 3n],
    ['exchange of the extremes', INT64_MIN, ['exchange', 5n, INT64_MAX], 1, INT64_MIN, INT64_MAX],
    ['compare-exchange expecting 0 on an absent id', undefined, ['cas', 5n, 0n, 9n], 1, 0n, 9n],
    ['compare-exchange 0 to 0 on an absent id', undefined, ['cas', 5n, 0n, 0n], 1, 0n, 0n],
    ['failed compare-exchange on an absent id', undefined, ['cas', 5n, 1n, 9n], 2, 0n, undefined],
    ['compare-exchange that matches', 7n, ['cas', 5n, 7n, 8n], 1, 7n, 8n],
    ['compare-exchange that does not match', 7n, ['cas', 5n, 6n, 8n], 2, 7n, 7n],
    ['a difference in the upper half only', 7n, ['cas', 5n, 7n + 2n ** 32n, 8n], 2, 7n, 7n],
    [
      'a difference in the lower half only',
      2n ** 32n,
      ['cas', 5n, 2n ** 32n + 1n, 8n],
      2,
      2n ** 32n,
      2n ** 32n,
    ],
    [
      'compare-exchange of the extremes',
      INT64_MIN,
      ['cas', 5n, INT64_MIN, INT64_MAX],
      1,
      INT64_MIN,
      INT64_MAX,
    ],
    ['the sign counts', -1n, ['cas', 5n, 1n, 2n], 2, -1n, -1n],
  ])('%s', (...row) => {
    const [, before, write, status, old, after] = row;
    const machine = new AtomicStateMachine();
    if (before !== undefined) applyBatch(machine, 1, [['exchange', 5n, before]]);
    expect(applyBatch(machine, 2, [write])).toEqual({ statuses: [status], old: [old] });
    expect(machine.state.counters.get(5n)).toBe(after);
    const [kind, id, first, second = first] = write;
    const single: Single =
      kind === 'exchange'
        ? { type: 'exchange', id, value: first }
        : { type: 'compareExchange', id, expectedValue: first, newValue: second };
    const other = new AtomicStateMachine();
    if (before !== undefined) applyBatch(other, 1, [['exchange', 5n, before]]);
    expect(applyData(other, 2, encodeBraftCommand(single))).toBeUndefined();
    expect(other.state.counters.get(5n)).toBe(after);
    expect(other.state.hash()).toBe(machine.state.hash());
  });

  it('shows every operation of a batch to the next one', () => {
    const machine = new AtomicStateMachine();
    const operations: Write[] = [
      ['cas', 1n, 0n, 1n],
      ['cas', 1n, 1n, 2n],
      ['cas', 1n, 1n, 9n],
      ['exchange', 1n, 5n],
    ];
    expect(applyBatch(machine, 1, operations)).toEqual({
      statuses: [1, 1, 2, 1],
      old: [0n, 1n, 2n, 2n],
    });
  });

  it('inserts nothing for a get from the log', () => {
    const machine = new AtomicStateMachine();
    expect(applyData(machine, 1, encodeBraftCommand({ type: 'get', id: 4n }))).toBeUndefined();
    expect(machine.state.counters.size).toBe(0);
  });
});

describe('what stops the node', () => {
  it.each([
    ['an unknown operation', Uint8Array.of(20), /index 9 .* operation 20 is unknown/],
    ['an empty entry', new Uint8Array(0), /index 9 .* empty entry is unknown/],
    ['a damaged request', Uint8Array.of(2, 8), /index 9 .* damaged/],
    ['a damaged batch', Uint8Array.of(16, 1), /index 9 .* header/],
  ])('%s', (_, data, message) => {
    const machine = new AtomicStateMachine();
    applyBatch(machine, 8, [['exchange', 1n, 1n]]);
    const hash = machine.state.hash();
    expect(applyData(machine, 9, data)).toMatch(message);
    expect(machine.state.hash()).toBe(hash);
    expect(machine.appliedIndex).toBe(8);
  });

  it('applies nothing of a batch whose last section is damaged', () => {
    const machine = new AtomicStateMachine();
    const data = encodeBatch([writes([['exchange', 1n, 1n]]), writes([['exchange', 2n, 1n]])]);
    expect(applyData(machine, 1, data.subarray(0, -1))).toMatch(/ends within a section/);
    expect(machine.state.counters.size).toBe(0);
  });
});

describe('determinism', () => {
  it('gives equal hashes with different flags', () => {
    const id = fc.bigInt({ min: 0n, max: 30n });
    const write = fc.tuple(fc.constantFrom('exchange' as const, 'cas' as const), id, id, id);
    const batch = fc.array(write, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 20 }), fc.nat(5), (batches, sessionsMax) => {
        const machines = [
          new AtomicStateMachine(),
          new AtomicStateMachine({ mapCapacity: 10_000, logAppliedTask: true }),
          new AtomicStateMachine({ mapCapacity: 1, logger: silentLogger }),
        ];
        const limits = { sessionsMax: sessionsMax + 1, answersMax: 20 };
        for (const [at, operations] of batches.entries()) {
          const writeId = { sessionId: 1 + (at % 4), serial: at + 1, lowestUnanswered: 1 };
          const data =
            at < 4
              ? encodeRegisterSession(limits)
              : encodeBatch([{ ...writes(operations), writeId }]);
          for (const machine of machines) expect(applyData(machine, at + 1, data)).toBeUndefined();
        }
        expect(new Set(machines.map((machine) => machine.state.hash())).size).toBe(1);
      }),
      { numRuns: 40 },
    );
  });
});

describe('logAppliedTask', () => {
  it('logs a line for each operation, as braft does', () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, info: (line: string) => void lines.push(line) };
    const machine = new AtomicStateMachine({ logAppliedTask: true, logger });
    applyBatch(machine, 3, [
      ['cas', 5n, 0n, 9n],
      ['cas', 5n, 0n, 1n],
      ['exchange', -6n, 4n],
    ]);
    applyData(machine, 4, encodeBraftCommand({ type: 'get', id: 5n }));
    expect(lines).toEqual([
      'Handled operation cas on id=5 at log_index=3 success=1 old_value=0 new_value=9',
      'Handled operation cas on id=5 at log_index=3 success=0 old_value=9 new_value=9',
      'Handled operation exchange on id=-6 at log_index=3 success=1 old_value=0 new_value=4',
      'Handled operation get on id=5 at log_index=4 success=1 old_value=9 new_value=9',
    ]);
  });
});
