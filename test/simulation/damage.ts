import { crc32c } from '../../server/raft/encoding/crc32c.ts';
import { RECORD_HEADER_BYTES } from '../../server/raft/encoding/record.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';
import type { SimulationRandom } from './random.ts';

const PAYLOAD_LENGTH_AT = 12;
const PAYLOAD_CHECKSUM_AT = 16;
const HEADER_CHECKSUM_AT = 20;

/** Damage here may be taken for a torn tail, and is then cut: what was synced last is not proved. */
const OPEN_SEGMENT = /\/log_inprogress_/;
const CLOSED_SEGMENT = /\/log_\d+_\d+$/;

/**
 * Flips one bit of one file, within what is written there and must be proved intact; says where.
 */
export function flipSomeBit(disk: SimulatedDisk, random: SimulationRandom): string | undefined {
  const path = random.pick(disk.paths().filter((one) => !OPEN_SEGMENT.test(one)));
  if (path === undefined) return undefined;
  const written = disk.contents(path).findLastIndex((byte) => byte !== 0) + 1;
  if (written === 0) return undefined;
  const bit = random.integer(0, written * 8 - 1);
  disk.flipBit(path, bit);
  return `${path}, bit ${bit}`;
}

/**
 * Flips one bit in the payload of a log record and makes its checksums fit again: what a product
 * that checks none would take for good.
 */
export function forgeSomeRecord(disk: SimulatedDisk, random: SimulationRandom): string | undefined {
  const path = random.pick(disk.paths().filter((one) => CLOSED_SEGMENT.test(one)));
  if (path === undefined) return undefined;
  const bytes = disk.contents(path);
  const start = random.pick(recordsWithPayload(bytes));
  if (start === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const payloadBytes = view.getUint32(start + PAYLOAD_LENGTH_AT);
  const payloadAt = start + RECORD_HEADER_BYTES;
  const before = bytes.slice();
  const at = payloadAt + random.integer(0, payloadBytes - 1);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
  const payload = bytes.subarray(payloadAt, payloadAt + payloadBytes);
  view.setUint32(start + PAYLOAD_CHECKSUM_AT, crc32c(payload));
  const header = bytes.subarray(start, start + HEADER_CHECKSUM_AT);
  view.setUint32(start + HEADER_CHECKSUM_AT, crc32c(header));
  flipDifferences(disk, path, { before, after: bytes });
  return `${path}, record at ${start}`;
}

function recordsWithPayload(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts: number[] = [];
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length;) {
    // A header of zeros ends the records.
    if (view.getUint32(at + HEADER_CHECKSUM_AT) === 0) break;
    const length = view.getUint32(at + PAYLOAD_LENGTH_AT);
    if (length > 0) starts.push(at);
    at += RECORD_HEADER_BYTES + length;
  }
  return starts;
}

function flipDifferences(
  disk: SimulatedDisk,
  path: string,
  { before, after }: { readonly before: Uint8Array; readonly after: Uint8Array },
): void {
  for (const [at, byte] of after.entries()) {
    const changed = byte ^ (before[at] ?? 0);
    for (let bit = 0; bit < 8; bit++) {
      if ((changed >>> bit) & 1) disk.flipBit(path, at * 8 + bit);
    }
  }
}
