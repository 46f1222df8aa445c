import { AtomicError } from './atomic-error.ts';

/** The operations' numbers on the wire (OperationBatch.kinds). */
export const GET = 1;
export const EXCHANGE = 2;
export const COMPARE_EXCHANGE = 3;

/** The result of a compare-exchange. */
export type CompareExchangeResult = {
  /** Whether the new value was stored. */
  readonly exchanged: boolean;
  /** The value before the call. */
  readonly oldValue: bigint;
};

type Call = {
  readonly id: bigint;
  readonly expectedValue: bigint;
  readonly newValue: bigint;
  /** When the caller stops waiting, in `performance.now()` milliseconds. */
  readonly deadline: number;
  readonly lease: boolean;
  readonly reject: (error: AtomicError) => void;
  /** Runs once when the call is settled. */
  readonly onSettled?: () => void;
  /** Failed attempts so far. */
  failures: number;
  /** Answered or given up: whatever still comes for it is ignored. */
  settled: boolean;
  /** Sent and not yet answered. */
  sent: boolean;
  /** An earlier attempt may have taken effect (numbered writes only). */
  maybeDone: boolean;
};

/** One call on its way: the arguments, the promise and how far it got. */
export type Operation =
  | (Call & { readonly kind: typeof GET | typeof EXCHANGE; readonly resolve: (v: bigint) => void })
  | (Call & {
      readonly kind: typeof COMPARE_EXCHANGE;
      readonly resolve: (result: CompareExchangeResult) => void;
    });

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Answers the caller. `exchanged` matters to a compare-exchange alone. */
export function complete(operation: Operation, exchanged: boolean, oldValue: bigint): void {
  if (operation.settled) return;
  operation.settled = true;
  operation.onSettled?.();
  if (operation.kind === COMPARE_EXCHANGE) operation.resolve({ exchanged, oldValue });
  else operation.resolve(oldValue);
}

/** Gives the caller an error. */
export function fail(operation: Operation, error: AtomicError): void {
  if (operation.settled) return;
  operation.settled = true;
  operation.onSettled?.();
  operation.reject(error);
}

/** What is known if the caller stops waiting for `operation` now. */
export function outcomeNow(operation: Operation): 'notProposed' | 'unknown' {
  if (operation.kind === GET) return 'notProposed';
  return operation.sent || operation.maybeDone ? 'unknown' : 'notProposed';
}

/** @throws AtomicError `invalidArgument` unless `value` is a bigint within int64. */
export function checkInt64(name: string, value: bigint): void {
  if (typeof value !== 'bigint') {
    throw new AtomicError('invalidArgument', `${name}: expected a bigint, got ${typeof value}`);
  }
  if (value < INT64_MIN || value > INT64_MAX) {
    throw new AtomicError('invalidArgument', `${name}: ${String(value)} is outside int64`);
  }
}
