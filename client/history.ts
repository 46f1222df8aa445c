/** What a client asked of one register. */
export type HistoryCall =
  | { readonly kind: 'get' }
  | { readonly kind: 'exchange'; readonly newValue: bigint }
  | {
      readonly kind: 'compareExchange';
      readonly expectedValue: bigint;
      readonly newValue: bigint;
    };

/**
 * What came of it. `failed`: certainly without effect. `ambiguous`: it may have taken effect, then
 * or later.
 */
export type HistoryResult =
  | { readonly outcome: 'ok'; readonly oldValue: bigint; readonly exchanged: boolean }
  | { readonly outcome: 'failed' }
  | { readonly outcome: 'ambiguous' };

/** One call of a load. Times share one clock within a history; their unit does not matter. */
export type HistoryOperation = {
  readonly process: number;
  readonly key: bigint;
  readonly call: HistoryCall;
  readonly invokedAt: number;
  readonly returnedAt: number;
  readonly result: HistoryResult;
};

/** A recorded load: its operations and what the registers held before (0 unless listed). */
export type History = {
  readonly initialValues: ReadonlyMap<bigint, bigint>;
  readonly operations: readonly HistoryOperation[];
};

/** A call that was invoked and has not returned. */
export type OpenCall = {
  readonly process: number;
  readonly key: bigint;
  readonly call: HistoryCall;
  readonly invokedAt: number;
};

/** Smallest step between two recorded events, so that their order is never lost to the clock. */
const TICK_MS = 1e-5;

/** Records a load as it happens. Calls still open when the history is taken are ambiguous. */
export class HistoryRecorder {
  readonly #now: () => number;
  readonly #initialValues = new Map<bigint, bigint>();
  readonly #operations: HistoryOperation[] = [];
  readonly #open = new Set<OpenCall>();
  #last = -Infinity;

  /** @param now - a monotonic clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get size(): number {
    return this.#operations.length;
  }

  /** What a register held before the load. */
  startsWith(key: bigint, value: bigint): void {
    this.#initialValues.set(key, value);
  }

  invoke(process: number, key: bigint, call: HistoryCall): OpenCall {
    const open = { process, key, call, invokedAt: this.#tick() };
    this.#open.add(open);
    return open;
  }

  return(open: OpenCall, result: HistoryResult): void {
    this.#open.delete(open);
    this.#operations.push({ ...open, returnedAt: this.#tick(), result });
  }

  history(): History {
    const returnedAt = this.#tick();
    const result: HistoryResult = { outcome: 'ambiguous' };
    const unfinished = [...this.#open].map((open) => ({ ...open, returnedAt, result }));
    return {
      initialValues: this.#initialValues,
      operations: [...this.#operations, ...unfinished],
    };
  }

  #tick(): number {
    this.#last = Math.max(this.#now(), this.#last + TICK_MS);
    return this.#last;
  }
}

/** The JSON form of a history: 64-bit integers are decimal texts. */
export function historyToJson(history: History): string {
  const lines = history.operations.map((operation) => JSON.stringify(operation, int64AsText));
  const initialValues = [...history.initialValues].map(([key, value]) => [`${key}`, `${value}`]);
  return (
    `{"version":1,"initialValues":${JSON.stringify(initialValues)},` +
    `"operations":[\n${lines.join(',\n')}\n]}\n`
  );
}

/** @throws Error naming the first thing that is wrong. */
export function historyFromJson(text: string): History {
  const value: unknown = JSON.parse(text);
  const root = fieldsOf(value, 'history');
  if (root['version'] !== 1) throw new Error('history: expected version 1');
  const initialValues = listOf(root['initialValues'], 'initialValues').map((pair, at) => {
    const [key, held] = listOf(pair, `initialValues[${at}]`);
    return [int64(key, `initialValues[${at}]`), int64(held, `initialValues[${at}]`)] as const;
  });
  const operations = listOf(root['operations'], 'operations').map(operationFromJson);
  return { initialValues: new Map(initialValues), operations };
}

function int64AsText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function operationFromJson(value: unknown, at: number): HistoryOperation {
  const where = `operations[${at}]`;
  const fields = fieldsOf(value, where);
  return {
    process: numberOf(fields['process'], `${where}.process`),
    key: int64(fields['key'], `${where}.key`),
    call: callFromJson(fieldsOf(fields['call'], `${where}.call`), `${where}.call`),
    invokedAt: numberOf(fields['invokedAt'], `${where}.invokedAt`),
    returnedAt: numberOf(fields['returnedAt'], `${where}.returnedAt`),
    result: resultFromJson(fieldsOf(fields['result'], `${where}.result`), `${where}.result`),
  };
}

function callFromJson(fields: Readonly<Record<string, unknown>>, where: string): HistoryCall {
  const newValue = (): bigint => int64(fields['newValue'], `${where}.newValue`);
  switch (fields['kind']) {
    case 'get':
      return { kind: 'get' };
    case 'exchange':
      return { kind: 'exchange', newValue: newValue() };
    case 'compareExchange': {
      const expectedValue = int64(fields['expectedValue'], `${where}.expectedValue`);
      return { kind: 'compareExchange', expectedValue, newValue: newValue() };
    }
    default:
      throw new Error(`${where}.kind: expected get, exchange or compareExchange`);
  }
}

function resultFromJson(fields: Readonly<Record<string, unknown>>, where: string): HistoryResult {
  const { outcome } = fields;
  if (outcome === 'failed' || outcome === 'ambiguous') return { outcome };
  if (outcome !== 'ok') throw new Error(`${where}.outcome: expected ok, failed or ambiguous`);
  const oldValue = int64(fields['oldValue'], `${where}.oldValue`);
  return { outcome, oldValue, exchanged: fields['exchanged'] === true };
}

function fieldsOf(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new Error(`${where}: expected an object`);
  return Object.fromEntries(Object.entries(value));
}

function listOf(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${where}: expected a list`);
  return value;
}

function numberOf(value: unknown, where: string): number {
  if (typeof value !== 'number') throw new Error(`${where}: expected a number`);
  return value;
}

function int64(value: unknown, where: string): bigint {
  if (typeof value !== 'string' || !/^-?\d{1,19}$/.test(value)) {
    throw new Error(`${where}: expected a 64-bit integer as text`);
  }
  return BigInt(value);
}
