import { makeDurableDirectory } from './durable-directory.ts';
import { StablePBMeta } from '../../../proto/gen/braft/storage.ts';
import type { HardState } from '../core/event.ts';
import { Incarnation, Term } from '../core/ids.ts';
import { ANY_PEER, parsePeerId } from '../core/peer-id.ts';
import type { FileSystem } from './file-system.ts';
import { loadMetaFile, saveMetaFile } from './meta-file.ts';
import type { MetaStorage } from './meta-storage.ts';
import { damagedFile } from './storage-error.ts';

/** braft starts counting terms here, so the first elected leader has term 2. */
const FIRST_TERM = Term(1);

/**
 * Term and vote in DIR/raft_meta with braft's bytes. When the log has a later term than the file
 * (which was lost), the node starts in the term after it, having voted for nobody (braft 5.4).
 *
 * @throws RaftError EIO when the file is damaged: a guessed vote could elect two leaders.
 */
export async function openRaftMeta(
  fileSystem: FileSystem,
  directory: string,
  lastLogTerm: number,
): Promise<MetaStorage> {
  await makeDurableDirectory(fileSystem, directory);
  const path = `${directory}/raft_meta`;
  const message = await loadMetaFile(fileSystem, path);
  const save = (hardState: HardState): Promise<void> =>
    saveMetaFile(fileSystem, path, encodeHardState(hardState));
  const stored = message === undefined ? noVote(FIRST_TERM) : decodeHardState(path, message);
  if (stored.term >= lastLogTerm) return { recovered: stored, save };
  const corrected = noVote(Term(lastLogTerm + 1));
  await save(corrected);
  return { recovered: corrected, save };
}

function noVote(term: Term): HardState {
  return { term, votedFor: undefined, votedIncarnation: undefined };
}

function encodeHardState({ term, votedFor, votedIncarnation }: HardState): Uint8Array {
  const votedfor = votedFor ?? ANY_PEER;
  return StablePBMeta.encode({ term, votedfor, votedIncarnation }).finish();
}

function decodeHardState(path: string, message: Uint8Array): HardState {
  const { term, votedfor, votedIncarnation } = decode(path, message);
  if (term === undefined || votedfor === undefined) {
    throw damagedFile(path, 'term or vote is missing');
  }
  const voted = parsePeerId(votedfor);
  if (!voted.ok) throw damagedFile(path, voted.reason);
  return {
    term: Term(term),
    votedFor: voted.peer === ANY_PEER ? undefined : voted.peer,
    votedIncarnation: votedIncarnation === undefined ? undefined : Incarnation(votedIncarnation),
  };
}

function decode(path: string, message: Uint8Array): StablePBMeta {
  try {
    return StablePBMeta.decode(message);
  } catch (cause) {
    throw damagedFile(path, 'it cannot be decoded', cause);
  }
}
