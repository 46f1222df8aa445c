import { expect, it } from '@jest/globals';
import { BlackBox } from './black-box.ts';
import type { CallOutcome, CounterRequest } from './counter-service.ts';

const read: CounterRequest = { type: 'read', id: 1n, consistency: 'linearizable' };
const exchange = (value: bigint): CounterRequest => ({
  type: 'write',
  write: { type: 'exchange', id: 1n, value },
});
const written = (oldValue: bigint): CallOutcome => ({
  ...{ type: 'written', index: 1 },
  result: { exchanged: true, oldValue },
});
const answered = (value: bigint): CallOutcome => ({ type: 'read', value });

/** Operations one after the other, each by a client of its own. */
function boxOf(operations: readonly (readonly [CounterRequest, CallOutcome])[]): BlackBox {
  const box = new BlackBox();
  for (const [client, [request, outcome]] of operations.entries()) {
    const calledAtMs = client * 10;
    box.record({ client, request, outcome, calledAtMs, returnedAtMs: calledAtMs + 5 });
  }
  return box;
}

it('accepts what one order explains, with a write whose outcome is unknown', () => {
  const box = boxOf([
    [exchange(5n), written(0n)],
    [exchange(6n), { type: 'noAnswer' }],
    [read, answered(5n)],
    [read, answered(6n)],
    [exchange(7n), { type: 'refused', leader: undefined }],
    [read, answered(6n)],
  ]);
  expect(() => {
    box.check();
  }).not.toThrow();
});

it.each<[string, readonly (readonly [CounterRequest, CallOutcome])[]]>([
  [
    'a read of the past',
    [
      [exchange(5n), written(0n)],
      [read, answered(0n)],
    ],
  ],
  [
    'a write that was refused and happened',
    [
      [exchange(5n), { type: 'refused', leader: undefined }],
      [read, answered(5n)],
    ],
  ],
  [
    'two writes that replaced the same value',
    [
      [exchange(5n), written(0n)],
      [exchange(6n), written(0n)],
    ],
  ],
])('refuses %s', (_, operations) => {
  expect(() => {
    boxOf(operations).check();
  }).toThrow(/^linearizability: /);
});
