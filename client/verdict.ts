import type { History, HistoryOperation } from './history.ts';
import { checkRegister } from './linearizability.ts';

/** What is wrong with one register's history, for a person. */
export type Violation = {
  readonly key: bigint;
  readonly rule: 'inventedValue' | 'lostUpdate' | 'wrongAnswer' | 'notLinearizable';
  readonly reason: string;
  /** The operation that shows it and those around it in time. */
  readonly operations: readonly HistoryOperation[];
};

export type Verdict = {
  /** True only if every register was decided and found right. */
  readonly ok: boolean;
  readonly registers: number;
  readonly operations: number;
  readonly ambiguous: number;
  readonly violations: readonly Violation[];
  /** Registers whose search was given up. */
  readonly undecided: readonly bigint[];
};

/** Steps of the search for one register before it is given up. */
const STEPS_MAX = 5_000_000;
/** Neighbours shown with a violation, on either side. */
const NEIGHBOURS = 5;

/**
 * Judges a recorded load: every answer was given by some order of the operations on its register
 * (linearizability), no value was read that nobody wrote, no acknowledged write was lost.
 */
export function judge(history: History, options: { stepsMax?: number } = {}): Verdict {
  const violations: Violation[] = [];
  const undecided: bigint[] = [];
  const registers = byKey(history.operations);
  for (const [key, operations] of registers) {
    const initialValue = history.initialValues.get(key) ?? 0n;
    const found = judgeRegister(operations, { key, initialValue, ...options });
    if (found === 'undecided') undecided.push(key);
    else if (found !== undefined) violations.push(found);
  }
  return {
    ok: violations.length === 0 && undecided.length === 0,
    registers: registers.size,
    operations: history.operations.length,
    ambiguous: history.operations.filter(({ result }) => result.outcome === 'ambiguous').length,
    violations,
    undecided,
  };
}

/** One line that says what an operation asked and got. */
export function operationText({ process, key, call, result }: HistoryOperation): string {
  const asked =
    call.kind === 'get'
      ? `get(${key})`
      : call.kind === 'exchange'
        ? `exchange(${key}, ${call.newValue})`
        : `compareExchange(${key}, ${call.expectedValue} -> ${call.newValue})`;
  if (result.outcome !== 'ok') return `client ${process}: ${asked} ${result.outcome}`;
  const done = call.kind === 'compareExchange' ? ` ${result.exchanged ? 'done' : 'refused'}` : '';
  return `client ${process}: ${asked} -> ${result.oldValue}${done}`;
}

function byKey(operations: readonly HistoryOperation[]): Map<bigint, HistoryOperation[]> {
  const registers = new Map<bigint, HistoryOperation[]>();
  for (const operation of operations) {
    const known = registers.get(operation.key);
    if (known === undefined) registers.set(operation.key, [operation]);
    else known.push(operation);
  }
  return registers;
}

type Register = { readonly key: bigint; readonly initialValue: bigint; readonly stepsMax?: number };

function judgeRegister(
  operations: readonly HistoryOperation[],
  register: Register,
): Violation | 'undecided' | undefined {
  const { key, initialValue, stepsMax = STEPS_MAX } = register;
  const byRule =
    wrongAnswer(key, operations) ??
    inventedValue(operations, register) ??
    lostUpdate(operations, register);
  if (byRule !== undefined) return byRule;
  const found = checkRegister(operations, { initialValue, stepsMax });
  if (found.type === 'linearizable') return undefined;
  if (found.type === 'undecided') return 'undecided';
  const possible = found.possibleValues.slice(0, 10).join(' or ');
  return {
    key,
    rule: 'notLinearizable',
    reason: `no order of the operations explains "${operationText(found.operation)}"; the register could have held ${possible}`,
    operations: around(operations, found.operation),
  };
}

/** A compare-exchange that contradicts itself. */
function wrongAnswer(key: bigint, operations: readonly HistoryOperation[]): Violation | undefined {
  const wrong = operations.find(({ call, result }) => {
    if (call.kind !== 'compareExchange' || result.outcome !== 'ok') return false;
    return result.exchanged !== (result.oldValue === call.expectedValue);
  });
  if (wrong === undefined) return undefined;
  const reason = `"${operationText(wrong)}" contradicts itself`;
  return { key, rule: 'wrongAnswer', reason, operations: [wrong] };
}

/** A value seen before anyone had begun to write it. */
function inventedValue(
  operations: readonly HistoryOperation[],
  { key, initialValue }: Register,
): Violation | undefined {
  const firstWritten = new Map<bigint, number>([[initialValue, -Infinity]]);
  for (const operation of operations) {
    const value = valueLeft(operation);
    if (value === undefined) continue;
    const at = Math.min(operation.invokedAt, firstWritten.get(value) ?? Infinity);
    firstWritten.set(value, at);
  }
  const wrong = operations.find(({ result, returnedAt }) => {
    if (result.outcome !== 'ok') return false;
    return (firstWritten.get(result.oldValue) ?? Infinity) > returnedAt;
  });
  if (wrong === undefined) return undefined;
  const reason = `"${operationText(wrong)}" saw a value that nobody had written`;
  return { key, rule: 'inventedValue', reason, operations: around(operations, wrong) };
}

/** More acknowledged writes replaced a value than can ever have put it there. */
function lostUpdate(
  operations: readonly HistoryOperation[],
  { key, initialValue }: Register,
): Violation | undefined {
  const balance = new Map<bigint, number>([[initialValue, 1]]);
  const add = (value: bigint, count: number): number => {
    const sum = (balance.get(value) ?? 0) + count;
    balance.set(value, sum);
    return sum;
  };
  for (const operation of operations) {
    const value = valueLeft(operation);
    if (value !== undefined) add(value, 1);
  }
  for (const operation of operations) {
    const { result } = operation;
    if (result.outcome !== 'ok' || valueLeft(operation) === undefined) continue;
    if (add(result.oldValue, -1) >= 0) continue;
    const same = operations.filter(
      (other) =>
        valueLeft(other) !== undefined &&
        other.result.outcome === 'ok' &&
        other.result.oldValue === result.oldValue,
    );
    const reason = `${same.length} acknowledged writes replaced the value ${result.oldValue}, which was there fewer times: one of them was lost`;
    return { key, rule: 'lostUpdate', reason, operations: same.slice(0, 2 * NEIGHBOURS) };
  }
  return undefined;
}

/** The value that the operation leaves, or may leave, in the register; undefined if none. */
function valueLeft({ call, result }: HistoryOperation): bigint | undefined {
  if (call.kind === 'get' || result.outcome === 'failed') return undefined;
  if (call.kind === 'compareExchange' && result.outcome === 'ok' && !result.exchanged) {
    return undefined;
  }
  return call.newValue;
}

function around(
  operations: readonly HistoryOperation[],
  operation: HistoryOperation,
): HistoryOperation[] {
  const sorted = [...operations].sort((a, b) => a.invokedAt - b.invokedAt);
  const at = sorted.indexOf(operation);
  return sorted.slice(Math.max(0, at - NEIGHBOURS), at + NEIGHBOURS + 1);
}
