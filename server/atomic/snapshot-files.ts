import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { SnapshotReader, SnapshotWriter } from '../raft/index.ts';
import type { AtomicState } from './atomic-state.ts';
import { loadBraftText, loadSnapshot } from './snapshot-load.ts';
import { SnapshotFormatError } from './snapshot-format.ts';
import { snapshotBlocks, type FrozenState } from './snapshot-save.ts';
import type { TurnBudget } from './turn-budget.ts';

/** Our file within a snapshot. */
const COUNTERS_FILE = 'counters.bin';
/** The file of braft's example. */
const BRAFT_FILE = 'data';

const WRITE_BYTES = 1 << 20;
const READ_BYTES = 1 << 20;

/** Writes the snapshot's file, in pieces of about a megabyte. */
export async function writeSnapshotFile(
  writer: SnapshotWriter,
  frozen: FrozenState,
  budget: TurnBudget,
): Promise<void> {
  const file = await open(join(writer.path, COUNTERS_FILE), 'w');
  try {
    let waiting: Uint8Array[] = [];
    let bytes = 0;
    for await (const block of snapshotBlocks(frozen, budget)) {
      waiting.push(block);
      bytes += block.length;
      if (bytes < WRITE_BYTES) continue;
      await file.appendFile(Buffer.concat(waiting));
      waiting = [];
      bytes = 0;
    }
    await file.appendFile(Buffer.concat(waiting));
  } finally {
    await file.close();
  }
  writer.addFile(COUNTERS_FILE);
}

/**
 * Reads the state from a snapshot written by us or by braft's example.
 *
 * @throws SnapshotFormatError when it holds neither file, or a damaged one.
 */
export async function readSnapshotFiles(
  reader: SnapshotReader,
  budget: TurnBudget,
): Promise<AtomicState> {
  const names = new Set(reader.files.map(({ name }) => name));
  if (names.has(COUNTERS_FILE)) return loadSnapshot(pieces(reader, COUNTERS_FILE), budget);
  if (names.has(BRAFT_FILE)) return loadBraftText(pieces(reader, BRAFT_FILE), budget);
  throw new SnapshotFormatError(
    `the snapshot holds neither ${COUNTERS_FILE} nor ${BRAFT_FILE}: ` +
      `it is not one of counters (files: ${[...names].join(', ')})`,
  );
}

async function* pieces(reader: SnapshotReader, name: string): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (;;) {
    const piece = await reader.read(name, offset, READ_BYTES);
    if (piece.length === 0) return;
    offset += piece.length;
    yield piece;
  }
}
