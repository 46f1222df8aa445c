import { LogIndex, Term } from '../core/ids.ts';
import type { IndexedConfiguration } from '../core/membership.ts';
import type { TermRun } from '../core/recovered.ts';
import { RecordCursor } from '../encoding/record.ts';
import { RaftError } from '../error.ts';
import type { FileHandle } from './file-system.ts';
import { Segment } from './segment.ts';

const ZEROS = Buffer.alloc(65_536);

/** What the scan of all segments gathers. */
export type Scan = {
  readonly termRuns: TermRun[];
  readonly configurations: IndexedConfiguration[];
};

/** One file to be scanned. */
export type SegmentFile = {
  readonly path: string;
  readonly first: LogIndex;
  /** From the name of a closed segment. */
  readonly last: LogIndex | undefined;
  readonly file: FileHandle;
};

/**
 * Reads a segment from its start and checks every record. A closed segment must be whole. In the
 * open one, what follows `durableIndex` may be an unsynced tail of any shape: it is cut and made
 * zero, so that nothing of it can come back. Anything else is corruption.
 *
 * @throws RaftError EIO naming file, offset and remedy.
 */
export async function recoverSegment(
  source: SegmentFile,
  durableIndex: LogIndex,
  scan: Scan,
): Promise<Segment> {
  const { file, first, last } = source;
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  const cursor = new RecordCursor(bytes);
  const offsets: number[] = [];
  let outcome = cursor.advance();
  for (; outcome === 'record'; outcome = cursor.advance()) {
    if (!cursor.payloadIsIntact()) {
      cursor.problem = 'the payload checksum does not match';
      break;
    }
    noteRecord(source, cursor, LogIndex(first + offsets.length), scan);
    offsets.push(cursor.start);
  }
  // A record with a damaged payload ends the log where it starts.
  const end = outcome === 'record' ? cursor.start : cursor.end;
  const found = LogIndex(first + offsets.length - 1);
  checkEnd({ source, bytes, end, found }, cursor, durableIndex);
  const firstUnproven = Math.max(0, durableIndex - first + 1);
  if (last === undefined) await settleTail(file, bytes, { unproven: offsets[firstUnproven], end });
  return new Segment(first, file, { offsets, end });
}

/** Decides whether the records may end here. @throws RaftError EIO when something is missing. */
function checkEnd(
  scanned: {
    readonly source: SegmentFile;
    readonly bytes: Uint8Array;
    readonly end: number;
    readonly found: LogIndex;
  },
  cursor: RecordCursor,
  durableIndex: LogIndex,
): void {
  const { source, bytes, end, found } = scanned;
  const { last } = source;
  // Written whole, by a program that knows more: never a torn tail.
  if (cursor.isForeign) throw damaged(source, end, cursor.problem);
  // The cut of the unused rest may be lost where a sync failed; zeros hide nothing.
  if (last !== undefined && !(found === last && isZeroFrom(bytes, end))) {
    const expected = `it should end with entry ${String(last)}`;
    throw damaged(source, end, cursor.problem === '' ? expected : cursor.problem);
  }
  if (last === undefined && found < durableIndex) {
    const missing = `entry ${String(found + 1)} was durable and is gone`;
    throw damaged(source, end, cursor.problem === '' ? missing : cursor.problem);
  }
}

function noteRecord(source: SegmentFile, cursor: RecordCursor, index: LogIndex, scan: Scan): void {
  const lastRun = scan.termRuns.at(-1);
  if (lastRun?.term !== cursor.term) {
    if (lastRun !== undefined && lastRun.term > cursor.term) {
      throw damaged(
        source,
        cursor.start,
        `the term of entry ${String(index)} is below the one before`,
      );
    }
    scan.termRuns.push({ first: index, term: Term(cursor.term) });
  }
  if (cursor.kind !== 'configuration') return;
  const entry = cursor.entry(index);
  if (entry.kind === 'configuration') scan.configurations.push({ ...entry.configuration, index });
}

/**
 * Makes durable what was read but never proved to be, and zero what follows. The records may stand
 * in the page cache alone, and after a failed sync as clean pages: only writing them again helps.
 */
async function settleTail(
  file: FileHandle,
  bytes: Uint8Array,
  tail: { readonly unproven: number | undefined; readonly end: number },
): Promise<void> {
  const { end } = tail;
  const unproven = tail.unproven ?? end;
  const isZero = isZeroFrom(bytes, end);
  if (isZero && unproven >= end) return;
  if (unproven < end) file.writeNow(bytes.subarray(unproven, end), unproven);
  if (!isZero) file.writeNow(new Uint8Array(bytes.length - end), end);
  await file.sync();
}

function isZeroFrom(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < bytes.length; at += ZEROS.length) {
    const end = Math.min(at + ZEROS.length, bytes.length);
    if (ZEROS.compare(bytes, at, end, 0, end - at) !== 0) return false;
  }
  return true;
}

function damaged({ path }: SegmentFile, offset: number, problem: string): RaftError {
  const remedy =
    'nothing was changed; restore this member from a backup, or wipe it and add it to the group again';
  return new RaftError(
    'EIO',
    `${path} is damaged at offset ${String(offset)}: ${problem}; ${remedy}`,
  );
}
