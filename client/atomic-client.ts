import { AtomicError } from './atomic-error.ts';
import { ConnectionPool } from './connection-pool.ts';
import { Dispatcher } from './dispatcher.ts';
import { LeaderFinder } from './leader-finder.ts';
import {
  checkInt64,
  COMPARE_EXCHANGE,
  EXCHANGE,
  fail,
  GET,
  outcomeNow,
  type CompareExchangeResult,
  type Operation,
} from './operation.ts';
import { RouteTable } from './route-table.ts';

/** How fresh a read is: confirmed by a quorum, or by the leader's lease where servers allow it. */
export type ReadConsistency = 'linearizable' | 'lease';

export type ConnectOptions = {
  /** Servers of the group, `host:port[:index[:role]]`, comma separated; some of them are enough. */
  readonly servers: string;
  /** The group's name. */
  readonly group?: string;
  /** How long a call waits for its answer, retries included, unless the call says otherwise. */
  readonly timeoutMs?: number;
  /**
   * Numbers every write within a registered session, so that one whose outcome is unknown can be,
   * and is, repeated without happening twice.
   */
  readonly exactlyOnce?: boolean;
  /** Unanswered operations on the way to the leader; more wait here. */
  readonly operationsInFlightMax?: number;
  /** Operations that wait here; more are refused with `busy`. */
  readonly operationsWaitingMax?: number;
  /** Operations that travel, and are decided, as one batch. */
  readonly operationsPerBatchMax?: number;
  /** A leader silent for this long is checked against what the other members say. */
  readonly stallMs?: number;
};

export type CallOptions = {
  readonly timeoutMs?: number;
  /** Stops the waiting. A write that was sent may happen all the same: see `AtomicError.outcome`. */
  readonly signal?: AbortSignal;
};

export type GetOptions = CallOptions & { readonly consistency?: ReadConsistency };

const DEFAULTS = {
  group: 'Atomic',
  timeoutMs: 1_000,
  exactlyOnce: false,
  operationsInFlightMax: 8_192,
  operationsWaitingMax: 65_536,
  operationsPerBatchMax: 1_024,
  stallMs: 300,
};

/** A timer of the platform holds no more. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/**
 * A client of the replicated counters. The leader is looked for when the first call is made.
 *
 * @throws AtomicError `invalidArgument` when an option makes no sense.
 */
export function connect(options: ConnectOptions): AtomicClient {
  return new AtomicClient(options);
}

/**
 * Reads and changes int64 counters by int64 id. Calls made in one turn of the event loop travel
 * together; each is a promise of its own. Failed calls reject with an `AtomicError` whose `outcome`
 * says whether the call certainly had no effect.
 */
export class AtomicClient implements AsyncDisposable {
  readonly #pool = new ConnectionPool();
  readonly #dispatcher: Dispatcher;
  readonly #timeoutMs: number;

  constructor(options: ConnectOptions) {
    const settings = { ...DEFAULTS, ...definedOf(options) };
    for (const name of LIMITS) checkLimit(name, settings[name]);
    const { servers, group, ...rest } = settings;
    const table = new RouteTable();
    const registered = table.updateConfiguration(group, servers);
    if (registered.type === 'invalid') {
      throw new AtomicError('invalidArgument', `servers: ${registered.reason}`);
    }
    const pool = this.#pool;
    const finder = new LeaderFinder({ group, table, pool });
    this.#timeoutMs = settings.timeoutMs;
    this.#dispatcher = new Dispatcher({ ...rest, group, table, pool, finder });
  }

  /** The peer id of the server that calls go to now; undefined while none is known. */
  get leader(): string | undefined {
    return this.#dispatcher.leader;
  }

  /** The value of `id`; 0 if it was never written. */
  get(id: bigint, options: GetOptions = {}): Promise<bigint> {
    return new Promise((resolve, reject) => {
      const call = this.#call({ id, expectedValue: 0n, newValue: 0n }, options, reject);
      this.#submit({ ...call, kind: GET, resolve }, options.signal);
    });
  }

  /** Stores `value` and resolves with the value before. */
  exchange(id: bigint, value: bigint, options: CallOptions = {}): Promise<bigint> {
    return new Promise((resolve, reject) => {
      const call = this.#call({ id, expectedValue: 0n, newValue: value }, options, reject);
      this.#submit({ ...call, kind: EXCHANGE, resolve }, options.signal);
    });
  }

  /** Stores `newValue` if the present value is `expectedValue`. */
  compareExchange(
    id: bigint,
    values: { readonly expectedValue: bigint; readonly newValue: bigint },
    options: CallOptions = {},
  ): Promise<CompareExchangeResult> {
    return new Promise((resolve, reject) => {
      const { expectedValue, newValue } = values;
      const call = this.#call({ id, expectedValue, newValue }, options, reject);
      this.#submit({ ...call, kind: COMPARE_EXCHANGE, resolve }, options.signal);
    });
  }

  /** Closes all connections; calls under way reject with `closed`. */
  close(): Promise<void> {
    this.#dispatcher[Symbol.dispose]();
    this.#pool[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #call(
    values: { id: bigint; expectedValue: bigint; newValue: bigint },
    options: GetOptions,
    reject: (error: AtomicError) => void,
  ) {
    checkInt64('id', values.id);
    checkInt64('expectedValue', values.expectedValue);
    checkInt64('newValue', values.newValue);
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    if (options.timeoutMs !== undefined) checkLimit('timeoutMs', timeoutMs);
    return {
      ...values,
      deadline: performance.now() + timeoutMs,
      lease: options.consistency === 'lease',
      reject,
      failures: 0,
      settled: false,
      sent: false,
      maybeDone: false,
    };
  }

  #submit(operation: Operation, signal: AbortSignal | undefined): void {
    if (signal === undefined) {
      this.#dispatcher.submit(operation);
      return;
    }
    const cancel = (): void => {
      const outcome = outcomeNow(cancellable);
      fail(cancellable, new AtomicError('cancelled', 'the caller cancelled the call', { outcome }));
    };
    const onSettled = (): void => {
      signal.removeEventListener('abort', cancel);
    };
    const cancellable: Operation = { ...operation, onSettled };
    if (signal.aborted) {
      cancel();
      return;
    }
    signal.addEventListener('abort', cancel);
    this.#dispatcher.submit(cancellable);
  }
}

const LIMITS = [
  'timeoutMs',
  'operationsInFlightMax',
  'operationsWaitingMax',
  'operationsPerBatchMax',
  'stallMs',
] as const;

function checkLimit(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= TIMEOUT_MAX_MS) return;
  throw new AtomicError('invalidArgument', `${name}: expected a positive integer, got ${value}`);
}

/** `options` without the members that are present but undefined. */
function definedOf(options: ConnectOptions): ConnectOptions {
  const given: [string, unknown][] = Object.entries(options);
  const entries = given.filter(([, value]) => value !== undefined);
  return { servers: options.servers, ...Object.fromEntries(entries) };
}
