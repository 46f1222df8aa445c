import type { BatchResult, OperationBatch } from '../proto/gen/atomic/v1/atomic.ts';
import { Consistency } from '../proto/gen/atomic/v1/atomic.ts';
import type { Operation } from './operation.ts';
import { complete } from './operation.ts';

/** Operations that travel together: reads of one consistency, or writes that become one log entry. */
export type Batch = {
  readonly operations: readonly Operation[];
  readonly path: 'read' | 'leaseRead' | 'write';
  /** The serials of an exactly-once batch; kept over retries. */
  readonly numbers?: WriteNumbers;
  /** When it was last sent, in `performance.now()` milliseconds. */
  sentAt: number;
};

/** The session of a batch and the serial of its first operation; the others follow on. */
export type WriteNumbers = { readonly sessionId: number; readonly firstSerial: number };

const DONE = 1;
const INT64_BYTES = 8;
const NO_BYTES = new Uint8Array(0);

/** The batch as it goes over the wire, in columns. */
export function encodeBatch(
  batch: Batch,
  wire: { number: number; lowestUnanswered: number; now: number },
): OperationBatch {
  const { operations, path, numbers } = batch;
  const writes = path === 'write';
  const kinds = new Uint8Array(operations.length);
  const ids = new Int64Column(operations.length);
  const expected = new Int64Column(writes ? operations.length : 0);
  const values = new Int64Column(writes ? operations.length : 0);
  let deadline = wire.now;
  for (let at = 0; at < operations.length; at++) {
    const operation = operations[at];
    if (operation === undefined) break;
    kinds[at] = operation.kind;
    ids.set(at, operation.id);
    if (writes) {
      expected.set(at, operation.expectedValue);
      values.set(at, operation.newValue);
    }
    if (operation.deadline > deadline) deadline = operation.deadline;
  }
  return {
    number: wire.number,
    kinds,
    ids: ids.bytes,
    expectedValues: expected.bytes,
    newValues: values.bytes,
    consistency:
      path === 'leaseRead' ? Consistency.CONSISTENCY_LEASE : Consistency.CONSISTENCY_UNSPECIFIED,
    firstWriteId:
      numbers === undefined
        ? undefined
        : {
            sessionId: numbers.sessionId,
            serial: numbers.firstSerial,
            lowestUnanswered: wire.lowestUnanswered,
          },
    timeoutMs: Math.max(1, Math.ceil(deadline - wire.now)),
  };
}

/** Answers every operation of the batch; false if the result does not fit it. */
export function completeBatch(batch: Batch, result: BatchResult): boolean {
  const { operations } = batch;
  const { statuses, oldValues } = result;
  if (statuses.length !== operations.length) return false;
  if (oldValues.length !== operations.length * INT64_BYTES) return false;
  const column = new DataView(oldValues.buffer, oldValues.byteOffset, oldValues.length);
  for (let at = 0; at < operations.length; at++) {
    const operation = operations[at];
    if (operation === undefined) break;
    complete(operation, statuses[at] === DONE, column.getBigInt64(at * INT64_BYTES, true));
  }
  return true;
}

/** Int64 elements, 8 bytes each, little-endian whatever the machine. */
class Int64Column {
  readonly bytes: Uint8Array;
  readonly #view: DataView | undefined;

  constructor(length: number) {
    this.bytes = length === 0 ? NO_BYTES : new Uint8Array(length * INT64_BYTES);
    if (length > 0) this.#view = new DataView(this.bytes.buffer);
  }

  set(at: number, value: bigint): void {
    this.#view?.setBigInt64(at * INT64_BYTES, value, true);
  }
}
