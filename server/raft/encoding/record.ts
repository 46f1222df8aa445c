import { unreachable } from '../core/assert.ts';
import type { LogEntry } from '../core/entry.ts';
import type { LogId } from '../core/ids.ts';
import { LogIndex, Term } from '../core/ids.ts';
import { RaftError } from '../error.ts';
import { decodeConfiguration, encodeConfiguration } from './configuration-payload.ts';
import { crc32c, crc32cBetween } from './crc32c.ts';
import { murmurHash3 } from './murmur-hash3.ts';

/**
 * braft's record of one log entry: 24 bytes of header, then the payload; all numbers big-endian.
 * The index is not in it: it is the first index of the segment or message plus the ordinal.
 *
 *      0  term                 8 bytes
 *      8  kind                 1 byte: NO_OP 1, DATA 2, CONFIGURATION 3
 *      9  checksum type        1 byte: MurmurHash3 0, CRC32C 1; then 2 zero bytes
 *     12  payload length       4 bytes
 *     16  payload checksum     4 bytes
 *     20  header checksum      4 bytes, over bytes 0 to 19
 */
export const RECORD_HEADER_BYTES = 24;

const CHECKED_HEADER_BYTES = 20;
const HIGH_WORD = 0x1_0000_0000;
const CHECKSUM_CRC32C = 1;
const KINDS = ['noOp', 'data', 'configuration'] as const;
const NO_PAYLOAD = new Uint8Array(0);

/** The record of an entry; made on first use and kept in `entry.record`. Never to be changed. */
export function recordOf(entry: LogEntry): Uint8Array {
  entry.record ??= encodeRecord(entry);
  return entry.record;
}

/** Bytes of the record of an entry. */
export function recordBytes(entry: LogEntry): number {
  if (entry.record !== undefined) return entry.record.length;
  if (entry.kind === 'data') return RECORD_HEADER_BYTES + entry.data.length;
  return recordOf(entry).length;
}

/**
 * The entries of consecutive records, the first of which is entry `firstIndex`. An all-zero header
 * ends them. Entries hold views of `bytes`, which must not change any more.
 *
 * @throws RaftError EIO when a record is cut short, damaged or of an unknown kind.
 */
export function decodeRecords(bytes: Uint8Array, firstIndex: LogIndex): LogEntry[] {
  const cursor = new RecordCursor(bytes);
  const entries: LogEntry[] = [];
  for (;;) {
    const step = cursor.advance();
    if (step === 'end') return entries;
    const index = LogIndex(firstIndex + entries.length);
    if (step !== 'record') throw damaged(index, cursor.problem);
    if (!cursor.payloadIsIntact()) throw damaged(index, 'the payload checksum does not match');
    entries.push(cursor.entry(index));
  }
}

/**
 * Walks over records without making an object for each. The fields describe the record on which
 * the last `advance` came to rest.
 */
export class RecordCursor {
  readonly #bytes: Uint8Array;
  /** Where the record starts; after 'end', 'short' and 'damaged' where the next one would. */
  start = 0;
  /** Where the record ends and the next begins. */
  end = 0;
  term = 0;
  kind: LogEntry['kind'] = 'noOp';
  /** What is wrong, after 'short' or 'damaged'. */
  problem = '';
  /** After 'damaged': the header is intact, but of a kind that only a newer program writes. */
  isForeign = false;
  #payloadChecksum = 0;
  #checksumType = CHECKSUM_CRC32C;

  constructor(bytes: Uint8Array, start = 0) {
    this.#bytes = bytes;
    this.end = start;
  }

  /**
   * Goes to the next record and checks its header.
   *
   * `end`: nothing more, or an all-zero header. `short`: the bytes end within a header or payload.
   * `damaged`: the header checksum does not match or the header makes no sense.
   */
  advance(): 'record' | 'end' | 'short' | 'damaged' {
    const bytes = this.#bytes;
    this.start = this.end;
    if (this.start === bytes.length) return 'end';
    if (this.start + RECORD_HEADER_BYTES > bytes.length) return this.#endOrShort();
    const fault = this.#readHeader();
    if (fault !== undefined) return fault;
    if (this.end > bytes.length) {
      this.end = this.start;
      this.problem = 'the payload is cut short';
      return 'short';
    }
    return 'record';
  }

  /** Whether the payload has the checksum that its header tells. */
  payloadIsIntact(): boolean {
    const { start, end } = this;
    if (end - start === RECORD_HEADER_BYTES) return this.#payloadChecksum === 0;
    return this.#checksum(start + RECORD_HEADER_BYTES, end) === this.#payloadChecksum;
  }

  /**
   * The record as an entry, with views of the bytes.
   *
   * @throws RaftError EIO when a configuration cannot be read.
   */
  entry(index: LogIndex): LogEntry {
    const { kind, start, end } = this;
    const id: LogId = { term: Term(this.term), index };
    const record = this.#bytes.subarray(start, end);
    switch (kind) {
      case 'noOp':
        return { kind, id, record };
      case 'data':
        return { kind, id, data: this.#bytes.subarray(start + RECORD_HEADER_BYTES, end), record };
      case 'configuration': {
        const payload = this.#bytes.subarray(start + RECORD_HEADER_BYTES, end);
        return { kind, id, configuration: decodeConfiguration(payload), record };
      }
      default:
        return unreachable(kind);
    }
  }

  #endOrShort(): 'end' | 'short' {
    this.problem = 'the header is cut short';
    for (let at = this.start; at < this.#bytes.length; at++) {
      if (this.#bytes[at] !== 0) return 'short';
    }
    return 'end';
  }

  #readHeader(): 'end' | 'damaged' | undefined {
    const { start } = this;
    const headerChecksum = word(this.#bytes, start + 20);
    // No header of braft or ours is all zero: the kind is at least 1.
    if (headerChecksum === 0 && this.#headerIsZero()) return 'end';
    const meta = word(this.#bytes, start + 8);
    this.#checksumType = (meta >>> 16) & 0xff;
    if (this.#checksumType > CHECKSUM_CRC32C) {
      return this.#damaged(`the checksum type ${this.#checksumType} is unknown`);
    }
    if (this.#checksum(start, start + CHECKED_HEADER_BYTES) !== headerChecksum) {
      return this.#damaged('the header checksum does not match');
    }
    const kind = KINDS[(meta >>> 24) - 1];
    if (kind === undefined) return this.#foreign(`the entry kind ${meta >>> 24} is unknown`);
    if ((meta & 0xffff) !== 0) return this.#foreign('the reserved header bits are in use');
    const payloadBytes = word(this.#bytes, start + 12);
    if (kind === 'noOp' && payloadBytes > 0) return this.#damaged('a no-op carries a payload');
    this.kind = kind;
    this.term = word(this.#bytes, start) * HIGH_WORD + word(this.#bytes, start + 4);
    if (!Number.isSafeInteger(this.term)) return this.#damaged('the term is out of range');
    this.#payloadChecksum = word(this.#bytes, start + 16);
    this.end = start + RECORD_HEADER_BYTES + payloadBytes;
    return undefined;
  }

  #headerIsZero(): boolean {
    for (let at = this.start; at < this.start + RECORD_HEADER_BYTES; at++) {
      if (this.#bytes[at] !== 0) return false;
    }
    return true;
  }

  #checksum(from: number, to: number): number {
    if (this.#checksumType === CHECKSUM_CRC32C) return crc32cBetween(this.#bytes, from, to);
    return murmurHash3(this.#bytes.subarray(from, to));
  }

  #foreign(problem: string): 'damaged' {
    this.isForeign = true;
    return this.#damaged(problem);
  }

  #damaged(problem: string): 'damaged' {
    this.end = this.start;
    this.problem = problem;
    return 'damaged';
  }
}

function encodeRecord(entry: LogEntry): Uint8Array {
  const payload = payloadOf(entry);
  const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  const { term } = entry.id;
  putWord(record, 0, Math.floor(term / HIGH_WORD));
  putWord(record, 4, term % HIGH_WORD);
  record[8] = KINDS.indexOf(entry.kind) + 1;
  record[9] = CHECKSUM_CRC32C;
  putWord(record, 12, payload.length);
  putWord(record, 16, crc32c(payload));
  putWord(record, 20, crc32cBetween(record, 0, CHECKED_HEADER_BYTES));
  record.set(payload, RECORD_HEADER_BYTES);
  return record;
}

function payloadOf(entry: LogEntry): Uint8Array {
  switch (entry.kind) {
    case 'noOp':
      return NO_PAYLOAD;
    case 'data':
      return entry.data;
    case 'configuration':
      return encodeConfiguration(entry.configuration);
    default:
      return unreachable(entry);
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function damaged(index: LogIndex, problem: string): RaftError {
  return new RaftError('EIO', `cannot read the record of entry ${index}: ${problem}`);
}
