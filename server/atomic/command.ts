import {
  CompareExchangeRequest,
  ExchangeRequest,
  GetRequest,
} from '../../proto/gen/example/atomic.ts';
import { INT64_BYTES, readSafeInteger, writeSafeInteger } from './int64.ts';
import type { SessionLimits } from './limits.ts';
import type { WriteId } from './write-id.ts';

/** The first byte of a log entry's data. 1 to 3 are braft's; a number never changes its meaning. */
export const GET = 1;
export const EXCHANGE = 2;
export const COMPARE_EXCHANGE = 3;
const BATCH = 16;
const REGISTER_SESSION = 17;
const CHECKPOINT = 18;
const VERDICT = 19;

const BATCH_HEADER_BYTES = 5;
const SECTION_HEADER_BYTES = 5;
const WRITE_ID_BYTES = 24;
const HAS_WRITE_ID = 1;
const COLUMNS_BYTES_PER_OPERATION = 1 + 3 * INT64_BYTES;

/** The writes of one caller, in columns as they came over the wire. */
export type WriteColumns = {
  /** EXCHANGE or COMPARE_EXCHANGE. */
  readonly kinds: Uint8Array;
  readonly ids: Uint8Array;
  readonly expectedValues: Uint8Array;
  readonly newValues: Uint8Array;
  /** Makes them exactly-once. */
  readonly writeId?: WriteId | undefined;
};

/** Where the columns of one section lie within the entry's bytes. */
export type Section = {
  readonly view: DataView;
  readonly count: number;
  readonly kindsAt: number;
  readonly idsAt: number;
  readonly expectedAt: number;
  readonly newAt: number;
  readonly writeId: WriteId | undefined;
};

/** A log entry's data, decoded. The sections of a batch look into the data and copy nothing. */
export type Command =
  | { readonly type: 'get'; readonly id: bigint }
  | { readonly type: 'exchange'; readonly id: bigint; readonly value: bigint }
  | {
      readonly type: 'compareExchange';
      readonly id: bigint;
      readonly expectedValue: bigint;
      readonly newValue: bigint;
    }
  | { readonly type: 'batch'; readonly sections: readonly Section[] }
  | { readonly type: 'registerSession'; readonly limits: SessionLimits }
  | { readonly type: 'checkpoint' }
  | { readonly type: 'verdict'; readonly index: number; readonly hash: bigint };

/** The bytes cannot be a command: another program wrote them, or they are damaged. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** One operation as braft's example writes it: every required field, zero included. */
export function encodeBraftCommand(
  command: Extract<Command, { type: 'get' | 'exchange' | 'compareExchange' }>,
): Uint8Array {
  switch (command.type) {
    case 'get':
      return prefixed(GET, GetRequest.encode(command).finish());
    case 'exchange':
      return prefixed(EXCHANGE, ExchangeRequest.encode(command).finish());
    case 'compareExchange':
      return prefixed(COMPARE_EXCHANGE, CompareExchangeRequest.encode(command).finish());
  }
}

/** Bytes that a section of `operations` writes takes in a batch. */
export function sectionBytes(operations: number, writeId: WriteId | undefined): number {
  const id = writeId === undefined ? 0 : WRITE_ID_BYTES;
  return SECTION_HEADER_BYTES + id + operations * COLUMNS_BYTES_PER_OPERATION;
}

/** The writes of several callers as the data of one entry, in the order given. */
export function encodeBatch(sections: readonly WriteColumns[]): Uint8Array {
  let bytes = BATCH_HEADER_BYTES;
  for (const { kinds, writeId } of sections) bytes += sectionBytes(kinds.length, writeId);
  const data = new Uint8Array(bytes);
  const view = new DataView(data.buffer);
  data[0] = BATCH;
  view.setUint32(1, sections.length, true);
  let at = BATCH_HEADER_BYTES;
  for (const section of sections) at = encodeSection(data, view, at, section);
  return data;
}

export function encodeRegisterSession(limits: SessionLimits): Uint8Array {
  const data = new Uint8Array(9);
  const view = new DataView(data.buffer);
  data[0] = REGISTER_SESSION;
  view.setUint32(1, limits.sessionsMax, true);
  view.setUint32(5, limits.answersMax, true);
  return data;
}

/** Makes every member note the hash of its state at this entry. */
export function encodeCheckpoint(): Uint8Array {
  return Uint8Array.of(CHECKPOINT);
}

/** States the hash that a majority of the voters noted at an earlier checkpoint. */
export function encodeVerdict(index: number, hash: bigint): Uint8Array {
  const data = new Uint8Array(17);
  const view = new DataView(data.buffer);
  data[0] = VERDICT;
  writeSafeInteger(view, 1, index);
  view.setBigUint64(9, hash, true);
  return data;
}

/** @throws CommandError when the operation is unknown or the rest does not fit it. */
export function decodeCommand(data: Uint8Array): Command {
  switch (data[0]) {
    case GET:
    case EXCHANGE:
    case COMPARE_EXCHANGE:
      return decodeBraftCommand(data[0], data.subarray(1));
    case BATCH:
      return { type: 'batch', sections: decodeSections(data) };
    case REGISTER_SESSION:
      return { type: 'registerSession', limits: decodeLimits(data) };
    case CHECKPOINT:
      requireLength(data, 1);
      return { type: 'checkpoint' };
    case VERDICT:
      return decodeVerdict(data);
    default:
      throw new CommandError(
        `the operation ${String(data[0] ?? 'of an empty entry')} is unknown: ` +
          'a newer version wrote it; run at least that version',
      );
  }
}

function prefixed(operation: number, message: Uint8Array): Uint8Array {
  const data = new Uint8Array(1 + message.length);
  data[0] = operation;
  data.set(message, 1);
  return data;
}

function encodeSection(
  data: Uint8Array,
  view: DataView,
  start: number,
  section: WriteColumns,
): number {
  const { kinds, ids, expectedValues, newValues, writeId } = section;
  view.setUint32(start, kinds.length, true);
  let at = start + SECTION_HEADER_BYTES;
  if (writeId !== undefined) {
    data[start + 4] = HAS_WRITE_ID;
    writeSafeInteger(view, at, writeId.sessionId);
    writeSafeInteger(view, at + 8, writeId.serial);
    writeSafeInteger(view, at + 16, writeId.lowestUnanswered);
    at += WRITE_ID_BYTES;
  }
  for (const column of [kinds, ids, expectedValues, newValues]) {
    data.set(column, at);
    at += column.length;
  }
  return at;
}

function decodeBraftCommand(operation: number, message: Uint8Array): Command {
  try {
    if (operation === GET) return { type: 'get', id: required(GetRequest.decode(message).id) };
    if (operation === EXCHANGE) {
      const { id, value } = ExchangeRequest.decode(message);
      return { type: 'exchange', id: required(id), value: required(value) };
    }
    const { id, expectedValue, newValue } = CompareExchangeRequest.decode(message);
    return {
      type: 'compareExchange',
      id: required(id),
      expectedValue: required(expectedValue),
      newValue: required(newValue),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the request of operation ${operation} is damaged: ${reason}`);
  }
}

function required(value: bigint | undefined): bigint {
  if (value === undefined) throw new CommandError('a required field is missing');
  return value;
}

function decodeSections(data: Uint8Array): Section[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < BATCH_HEADER_BYTES) throw new CommandError('a batch ends in its header');
  const count = view.getUint32(1, true);
  const sections: Section[] = [];
  let at = BATCH_HEADER_BYTES;
  for (let number = 0; number < count; number++) {
    const section = decodeSection(view, at);
    sections.push(section);
    at = section.newAt + section.count * INT64_BYTES;
  }
  requireLength(data, at);
  return sections;
}

function decodeSection(view: DataView, start: number): Section {
  if (start + SECTION_HEADER_BYTES > view.byteLength) {
    throw new CommandError('a batch ends in the header of a section');
  }
  const count = view.getUint32(start, true);
  const flags = view.getUint8(start + 4);
  if (flags > HAS_WRITE_ID) throw new CommandError(`a section has unknown flags ${flags}`);
  const identified = flags === HAS_WRITE_ID;
  const kindsAt = start + SECTION_HEADER_BYTES + (identified ? WRITE_ID_BYTES : 0);
  if (kindsAt + count * COLUMNS_BYTES_PER_OPERATION > view.byteLength) {
    throw new CommandError('a batch ends within a section');
  }
  for (let at = kindsAt; at < kindsAt + count; at++) {
    const kind = view.getUint8(at);
    if (kind !== EXCHANGE && kind !== COMPARE_EXCHANGE) {
      throw new CommandError(`a batch holds a write of unknown kind ${kind}`);
    }
  }
  const idsAt = kindsAt + count;
  const expectedAt = idsAt + count * INT64_BYTES;
  const newAt = expectedAt + count * INT64_BYTES;
  const writeId = identified ? decodeWriteId(view, start + SECTION_HEADER_BYTES) : undefined;
  return { view, count, kindsAt, idsAt, expectedAt, newAt, writeId };
}

function decodeWriteId(view: DataView, at: number): WriteId {
  return {
    sessionId: safeInteger(view, at),
    serial: safeInteger(view, at + 8),
    lowestUnanswered: safeInteger(view, at + 16),
  };
}

function decodeLimits(data: Uint8Array): SessionLimits {
  requireLength(data, 9);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return { sessionsMax: view.getUint32(1, true), answersMax: view.getUint32(5, true) };
}

function decodeVerdict(data: Uint8Array): Command {
  requireLength(data, 17);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return { type: 'verdict', index: safeInteger(view, 1), hash: view.getBigUint64(9, true) };
}

function safeInteger(view: DataView, at: number): number {
  const value = readSafeInteger(view, at);
  if (value === undefined) throw new CommandError('a number is above 2^53');
  return value;
}

function requireLength(data: Uint8Array, bytes: number): void {
  if (data.length === bytes) return;
  throw new CommandError(`operation ${String(data[0])}: ${data.length} bytes instead of ${bytes}`);
}
