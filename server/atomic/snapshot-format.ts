import { crc32c } from '../raft/index.ts';
import { INT64_BYTES, readSafeInteger, writeSafeInteger } from './int64.ts';
import type { SessionLimits } from './limits.ts';
import type { AnswerBlock, Session } from './sessions.ts';

// A snapshot file is a row of blocks: type (1 byte), length of the payload (4), CRC32C of the two
// and the payload (4), payload. All numbers are little-endian. First the header, then one block
// for each session, then blocks of counters, then the end.

export const HEADER_BLOCK = 1;
export const SESSION_BLOCK = 2;
export const COUNTERS_BLOCK = 3;
export const END_BLOCK = 4;

export const BLOCK_HEADER_BYTES = 9;
/** Id and value, 8 bytes each. */
export const COUNTER_BYTES = 16;
/** Counters in every block but the last: fixed, so that equal states give equal bytes. */
export const COUNTERS_PER_BLOCK = 4_096;
/** No block of ours is larger; what claims to be is damaged. */
const PAYLOAD_BYTES_MAX = 1 << 28;

/** "ATOMICR" and the version of the format. */
const MAGIC = Uint8Array.of(0x41, 0x54, 0x4f, 0x4d, 0x49, 0x43, 0x52, 1);
const HEADER_BYTES = 40;
const SESSION_HEADER_BYTES = 28;
const ANSWERS_HEADER_BYTES = 12;

/** The file cannot be loaded: damaged, cut off, or of a version that this program cannot read. */
export class SnapshotFormatError extends Error {
  override readonly name = 'SnapshotFormatError';
}

export type SnapshotHeader = {
  readonly counters: number;
  readonly sessions: number;
  readonly limits: SessionLimits;
  /** Of the whole state; checked after loading. */
  readonly hash: bigint;
};

/** A block with its checksum; `payload` is copied. */
export function encodeBlock(type: number, payload: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_HEADER_BYTES + payload.length);
  block.set(payload, BLOCK_HEADER_BYTES);
  sealBlock(block, type);
  return block;
}

/** Fills in the header of a block whose payload is in place. */
export function sealBlock(block: Uint8Array, type: number): void {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  view.setUint8(0, type);
  view.setUint32(1, block.length - BLOCK_HEADER_BYTES, true);
  view.setUint32(5, checksum(block), true);
}

/**
 * The block at the start of `bytes`; undefined when it goes on beyond their end.
 *
 * @throws SnapshotFormatError on a wrong checksum.
 */
export function decodeBlock(
  bytes: Uint8Array,
): { readonly type: number; readonly payload: Uint8Array; readonly length: number } | undefined {
  if (bytes.length < BLOCK_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const payloadBytes = view.getUint32(1, true);
  if (payloadBytes > PAYLOAD_BYTES_MAX) throw new SnapshotFormatError('a block is too long');
  const length = BLOCK_HEADER_BYTES + payloadBytes;
  if (bytes.length < length) return undefined;
  const block = bytes.subarray(0, length);
  if (checksum(block) !== view.getUint32(5, true)) {
    throw new SnapshotFormatError('the checksum of a block is wrong');
  }
  return { type: view.getUint8(0), payload: block.subarray(BLOCK_HEADER_BYTES), length };
}

export function encodeHeader(header: SnapshotHeader): Uint8Array {
  const payload = new Uint8Array(HEADER_BYTES);
  const view = new DataView(payload.buffer);
  payload.set(MAGIC);
  writeSafeInteger(view, 8, header.counters);
  writeSafeInteger(view, 16, header.sessions);
  view.setUint32(24, header.limits.sessionsMax, true);
  view.setUint32(28, header.limits.answersMax, true);
  view.setBigUint64(32, header.hash, true);
  return encodeBlock(HEADER_BLOCK, payload);
}

/** @throws SnapshotFormatError when it is not a header that this program knows. */
export function decodeHeader(payload: Uint8Array): SnapshotHeader {
  if (payload.length !== HEADER_BYTES || MAGIC.some((byte, at) => payload[at] !== byte)) {
    throw new SnapshotFormatError('not a snapshot of counters in a known version');
  }
  const view = viewOf(payload);
  return {
    counters: safeInteger(view, 8),
    sessions: safeInteger(view, 16),
    limits: { sessionsMax: view.getUint32(24, true), answersMax: view.getUint32(28, true) },
    hash: view.getBigUint64(32, true),
  };
}

export function encodeSession(session: Session): Uint8Array {
  const { blocks } = session;
  let bytes = SESSION_HEADER_BYTES;
  for (const { statuses, oldValues } of blocks) {
    bytes += ANSWERS_HEADER_BYTES + statuses.length + oldValues.length;
  }
  const payload = new Uint8Array(bytes);
  const view = new DataView(payload.buffer);
  writeSafeInteger(view, 0, session.id);
  writeSafeInteger(view, 8, session.lowestUnanswered);
  writeSafeInteger(view, 16, session.lastIndex);
  view.setUint32(24, blocks.length, true);
  let at = SESSION_HEADER_BYTES;
  for (const { firstSerial, statuses, oldValues } of blocks) {
    writeSafeInteger(view, at, firstSerial);
    view.setUint32(at + 8, statuses.length, true);
    at += ANSWERS_HEADER_BYTES;
    payload.set(statuses, at);
    payload.set(oldValues, at + statuses.length);
    at += statuses.length + oldValues.length;
  }
  return encodeBlock(SESSION_BLOCK, payload);
}

/** @throws SnapshotFormatError when lengths do not add up. */
export function decodeSession(payload: Uint8Array): Session {
  const view = viewOf(payload);
  if (payload.length < SESSION_HEADER_BYTES) throw new SnapshotFormatError('a session is cut off');
  const blocks: AnswerBlock[] = [];
  let at = SESSION_HEADER_BYTES;
  for (let left = view.getUint32(24, true); left > 0; left--) {
    if (at + ANSWERS_HEADER_BYTES > payload.length) {
      throw new SnapshotFormatError('the answers of a session are cut off');
    }
    const count = view.getUint32(at + 8, true);
    const statusesAt = at + ANSWERS_HEADER_BYTES;
    const oldValuesAt = statusesAt + count;
    const firstSerial = safeInteger(view, at);
    at = oldValuesAt + count * INT64_BYTES;
    const statuses = payload.slice(statusesAt, oldValuesAt);
    blocks.push({ firstSerial, statuses, oldValues: payload.slice(oldValuesAt, at) });
  }
  if (at !== payload.length) throw new SnapshotFormatError('the length of a session is wrong');
  return {
    id: safeInteger(view, 0),
    lowestUnanswered: safeInteger(view, 8),
    lastIndex: safeInteger(view, 16),
    blocks,
  };
}

function checksum(block: Uint8Array): number {
  return crc32c(block.subarray(BLOCK_HEADER_BYTES), crc32c(block.subarray(0, 5)));
}

function viewOf(payload: Uint8Array): DataView {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
}

function safeInteger(view: DataView, at: number): number {
  const value = readSafeInteger(view, at);
  if (value === undefined) throw new SnapshotFormatError('a number is above 2^53');
  return value;
}
