import type { Command } from './command.ts';
import type { CounterMap } from './counter-map.ts';

/** What one operation of braft's shape came to; for a get old and new value are the same. */
export type SingleResult = {
  readonly success: boolean;
  readonly oldValue: bigint;
  readonly newValue: bigint;
};

/** Executes one operation of braft's log (braft: Atomic::on_apply). */
export function applySingle(
  counters: CounterMap,
  command: Extract<Command, { type: 'get' | 'exchange' | 'compareExchange' }>,
): SingleResult {
  const oldValue = counters.get(command.id) ?? 0n;
  if (command.type === 'get') return { success: true, oldValue, newValue: oldValue };
  if (command.type === 'compareExchange' && command.expectedValue !== oldValue) {
    return { success: false, oldValue, newValue: oldValue };
  }
  const newValue = command.type === 'exchange' ? command.value : command.newValue;
  counters.set(command.id, newValue);
  return { success: true, oldValue, newValue };
}
