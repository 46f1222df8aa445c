import type { NodeStorage } from '../../server/raft/node/node-options.ts';
import type { LogStorage } from '../../server/raft/storage/log-storage.ts';
import type { MetaStorage } from '../../server/raft/storage/meta-storage.ts';
import type { SnapshotStorage } from '../../server/raft/storage/snapshot-storage.ts';
import type { PeerId } from '../../server/raft/core/ids.ts';
import type { DiskPromises } from './checkers/disk-promises.ts';
import type { GroupObserver } from './group-observer.ts';

/** Whose storage is watched. */
type Owner = {
  readonly peer: PeerId;
  readonly promises: DiskPromises;
  readonly observer: GroupObserver;
};

/** The same storage, with every promise that it keeps written down. */
export function auditedStorage(storage: NodeStorage, owner: Owner): NodeStorage {
  const { snapshots } = storage;
  owner.observer.judge(() => {
    owner.promises.recovered({
      log: storage.log.recovered,
      snapshot: snapshots?.recovered?.lastIncluded,
      hardState: storage.meta.recovered,
    });
  });
  return {
    log: auditedLog(storage.log, owner),
    meta: auditedMeta(storage.meta, owner),
    ...(snapshots === undefined ? {} : { snapshots: auditedSnapshots(snapshots, owner) }),
    identity: storage.identity,
    close: () => storage.close(),
  };
}

function auditedLog(log: LogStorage, { peer, promises, observer }: Owner): LogStorage {
  return {
    recovered: log.recovered,
    write: async (write) => {
      promises.writeStarted(write);
      await log.write(write);
      promises.writeDurable(write);
    },
    read: async (range) => {
      const entries = await log.read(range);
      observer.judge(() => {
        for (const entry of entries ?? []) observer.logs.entryRead(peer, entry);
      });
      return entries;
    },
    truncatePrefix: (firstKept) => log.truncatePrefix(firstKept),
    reset: (next) => {
      promises.logReset(next);
      return log.reset(next);
    },
    hasSpace: () => log.hasSpace(),
    durableIndex: () => log.durableIndex(),
    close: () => log.close(),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

function auditedMeta(meta: MetaStorage, { promises, observer }: Owner): MetaStorage {
  return {
    recovered: meta.recovered,
    save: async (hardState) => {
      await meta.save(hardState);
      observer.judge(() => {
        promises.hardStateDurable(hardState);
      });
    },
  };
}

function auditedSnapshots(snapshots: SnapshotStorage, { promises }: Owner): SnapshotStorage {
  return {
    recovered: snapshots.recovered,
    open: () => snapshots.open(),
    save: async (meta, fill) => {
      await snapshots.save(meta, fill);
      promises.snapshotDurable(meta.lastIncluded);
    },
    receive: (meta, files) => snapshots.receive(meta, files),
    commitReceived: async (meta) => {
      await snapshots.commitReceived(meta);
      promises.snapshotDurable(meta.lastIncluded);
    },
    lastIndex: () => snapshots.lastIndex(),
  };
}
