import { COMPARE_EXCHANGE, EXCHANGE, GET, sectionBytes, type WriteColumns } from './command.ts';
import type { CounterMap } from './counter-map.ts';
import { INT64_BYTES } from './int64.ts';
import { exhausted, invalid, type Failure } from './service-failure.ts';

/** Bounds of the service of one group. */
export type ServiceLimits = {
  /** Bytes of operations in one message of a caller. */
  readonly messageBytesMax: number;
  /** Operations in one batch of a caller. */
  readonly batchOperationsMax: number;
  /** Operations in one log entry; a larger batch still goes alone. */
  readonly entryOperationsMax: number;
  /** Operations admitted and not yet answered. */
  readonly inFlightOperationsMax: number;
  /** Bytes of writes admitted and not yet answered. */
  readonly inFlightBytesMax: number;
  /** Counters in the map. */
  readonly mapEntriesMax: number;
};

export const DEFAULT_SERVICE_LIMITS: ServiceLimits = {
  messageBytesMax: 4 * (1 << 20),
  batchOperationsMax: 65_536,
  entryOperationsMax: 8_192,
  inFlightOperationsMax: 200_000,
  inFlightBytesMax: 64 * (1 << 20),
  mapEntriesMax: 16_777_216,
};

/** Counts what is in flight and decides whether more may come. */
export class Admission {
  readonly #limits: ServiceLimits;
  readonly #counters: () => CounterMap;
  #operations = 0;
  #bytes = 0;
  #writes = 0;

  /** @param counters - the map as it is at the time of the call. */
  constructor(limits: ServiceLimits, counters: () => CounterMap) {
    this.#limits = limits;
    this.#counters = counters;
  }

  get operationsInFlight(): number {
    return this.#operations;
  }

  /** Says why a message of this size is not taken, if it is not. */
  checkMessage(bytes: number): Failure | undefined {
    const { messageBytesMax } = this.#limits;
    if (bytes <= messageBytesMax) return undefined;
    const text = `a message with ${bytes} bytes of operations; at most ${messageBytesMax} may come`;
    return invalid(`${text}: send smaller batches or raise message_bytes_max at the servers`);
  }

  /** Counts a batch of writes in, or says why it must not be proposed. */
  admitWrite(columns: WriteColumns): Failure | undefined {
    const operations = columns.kinds.length;
    const refusal =
      checkWrite(columns) ??
      this.#checkRoom(operations, writeBytes(columns)) ??
      this.#checkSize(columns);
    if (refusal !== undefined) return refusal;
    this.#operations += operations;
    this.#writes += operations;
    this.#bytes += writeBytes(columns);
    return undefined;
  }

  /** The write was answered, or will never be. */
  releaseWrite(columns: WriteColumns): void {
    this.#operations -= columns.kinds.length;
    this.#writes -= columns.kinds.length;
    this.#bytes -= writeBytes(columns);
  }

  /** Counts the opening of a session in, or says why not. */
  admitRegistration(): Failure | undefined {
    const refusal = this.#checkRoom(1, 0);
    if (refusal === undefined) this.#operations += 1;
    return refusal;
  }

  /** The session is open, or will never be. */
  releaseRegistration(): void {
    this.#operations -= 1;
  }

  /** Counts reads in, or says why not. `ids` is an int64 column. */
  admitRead(ids: Uint8Array): Failure | undefined {
    const operations = ids.length / INT64_BYTES;
    if (!Number.isInteger(operations) || operations === 0) {
      return invalid('ids: expected 8 bytes for each read');
    }
    const refusal = this.#checkRoom(operations, 0);
    if (refusal !== undefined) return refusal;
    this.#operations += operations;
    return undefined;
  }

  releaseRead(ids: Uint8Array): void {
    this.#operations -= ids.length / INT64_BYTES;
  }

  #checkRoom(operations: number, bytes: number): Failure | undefined {
    const { batchOperationsMax, inFlightOperationsMax, inFlightBytesMax } = this.#limits;
    if (operations > batchOperationsMax) {
      return invalid(`a batch of ${operations} operations; at most ${batchOperationsMax} may come`);
    }
    if (this.#operations + operations > inFlightOperationsMax) {
      return exhausted('EBUSY', 'too many operations are in flight; try again later');
    }
    if (this.#bytes + bytes > inFlightBytesMax) {
      return exhausted('EBUSY', 'too many bytes are in flight; try again later');
    }
    return undefined;
  }

  /**
   * The map must not outgrow its bound through what is already on the way. Every write in flight
   * counts as one to a new id, but only close to the bound, and writes to present ids always pass.
   */
  #checkSize({ ids, kinds }: WriteColumns): Failure | undefined {
    const { mapEntriesMax } = this.#limits;
    const counters = this.#counters();
    const room = mapEntriesMax - counters.size - this.#writes;
    if (kinds.length <= room) return undefined;
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
    let absent = 0;
    for (let at = 0; at < ids.length; at += INT64_BYTES) {
      if (!counters.find(view.getInt32(at, true), view.getInt32(at + 4, true))) absent++;
    }
    if (absent === 0 || absent <= room) return undefined;
    return exhausted('ENOSPC', `the map is full: it may hold ${mapEntriesMax} counters`);
  }
}

/** Whether all kinds of a batch are gets. */
export function allGets(kinds: Uint8Array): boolean {
  return kinds.every((kind) => kind === GET);
}

function writeBytes({ kinds, writeId }: WriteColumns): number {
  return sectionBytes(kinds.length, writeId);
}

function checkWrite(columns: WriteColumns): Failure | undefined {
  const { kinds, ids, expectedValues, newValues, writeId } = columns;
  if (kinds.length === 0) return invalid('kinds: the batch is empty');
  if (kinds.some((kind) => kind !== EXCHANGE && kind !== COMPARE_EXCHANGE)) {
    return invalid('kinds: expected only gets, or only exchanges (2) and compare-exchanges (3)');
  }
  const bytes = kinds.length * INT64_BYTES;
  if (ids.length !== bytes) return invalid(`ids: ${ids.length} bytes instead of ${bytes}`);
  if (expectedValues.length !== bytes || newValues.length !== bytes) {
    return invalid(`expected_values and new_values: expected ${bytes} bytes each`);
  }
  if (writeId === undefined) return undefined;
  const { sessionId, serial, lowestUnanswered } = writeId;
  const lastSerial = serial + kinds.length;
  if (![sessionId, lastSerial, lowestUnanswered].every(Number.isSafeInteger) || serial < 1) {
    return invalid('write_id: serials start at 1 and end below 2^53');
  }
  if (lowestUnanswered > serial) return invalid('write_id: lowest_unanswered is above the serial');
  return undefined;
}
