import { makeDurableDirectory } from './durable-directory.ts';
import type { FileSystem } from './file-system.ts';
import { openIdentity } from './identity-file.ts';
import type { IdentityStorage } from './identity-storage.ts';
import type { LogStorage } from './log-storage.ts';
import type { MetaStorage } from './meta-storage.ts';
import { openRaftMeta } from './raft-meta-file.ts';
import { SegmentedLog } from './segmented-log.ts';
import { SnapshotDirectory } from './snapshot-directory.ts';
import type { SnapshotStorage } from './snapshot-storage.ts';

export type StorageOptions = {
  /** Holds log/, raft_meta/, snapshot/ (as braft's example lays them out) and identity.json. */
  readonly dataPath: string;
  readonly group: string;
  readonly peer: string;
  /** Empty: adopted from the first leader. */
  readonly clusterId?: string;
  readonly drawIncarnation: () => string;
  /** 8 MiB by default. */
  readonly segmentBytesMax?: number;
  /** True by default. */
  readonly sync?: boolean;
  /** Keeps other servers out; absent: nobody else can be there (tests). */
  readonly lock?: (directory: string) => Promise<() => Promise<void>>;
};

/** Everything one node keeps on disk, open. */
export type OpenStorage = {
  readonly log: LogStorage;
  readonly meta: MetaStorage;
  readonly snapshots: SnapshotStorage;
  readonly identity: IdentityStorage;
  close(): Promise<void>;
};

/**
 * Opens a data directory, which may be new, ours, or written by braft.
 *
 * @throws RaftError EBUSY (in use), EINVAL (another group, peer, cluster or a newer format), EIO
 *   (damaged or unreadable, with file and remedy).
 */
export async function openStorage(
  fileSystem: FileSystem,
  options: StorageOptions,
): Promise<OpenStorage> {
  const { dataPath } = options;
  await makeDurableDirectory(fileSystem, dataPath);
  const unlock = await options.lock?.(dataPath);
  const identify = identifier(fileSystem, options);
  let opened: LogStorage | undefined;
  try {
    // Whose directory it is comes first: nothing of somebody else's may be touched.
    const isKnown = (await fileSystem.stat(`${dataPath}/identity.json`)) !== undefined;
    const known = isKnown ? await identify(true) : undefined;
    const log = await openLog(fileSystem, options);
    opened = log;
    const snapshots = await SnapshotDirectory.open(fileSystem, `${dataPath}/snapshot`);
    const { recovered } = log;
    const lastTerm = recovered.termRuns.at(-1)?.term ?? snapshots.recovered?.lastIncluded.term ?? 0;
    const meta = await openRaftMeta(fileSystem, `${dataPath}/raft_meta`, lastTerm);
    const hasData = recovered.lastIndex > 0 || snapshots.recovered !== undefined;
    const identity = known ?? (await identify(hasData));
    const close = async (): Promise<void> => {
      await log.close();
      await unlock?.();
    };
    return { log, meta, snapshots, identity, close };
  } catch (error) {
    await opened?.close();
    await unlock?.();
    throw error;
  }
}

/** Opens the identity of a directory that holds data, or is still empty. */
function identifier(
  fileSystem: FileSystem,
  options: StorageOptions,
): (hasData: boolean) => Promise<IdentityStorage> {
  const { dataPath, group, peer, clusterId = '', drawIncarnation } = options;
  return (hasData) =>
    openIdentity(fileSystem, dataPath, { group, peer, clusterId, drawIncarnation, hasData });
}

function openLog(fileSystem: FileSystem, options: StorageOptions): Promise<SegmentedLog> {
  const { dataPath, segmentBytesMax = 8_388_608, sync = true } = options;
  return SegmentedLog.open(fileSystem, `${dataPath}/log`, { segmentBytesMax, sync });
}
