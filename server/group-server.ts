import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { ActivityLog } from './activity/activity-log.ts';
import type { Proposal } from './atomic/proposal.ts';
import { AtomicServiceCore } from './atomic/service-core.ts';
import { AtomicStateMachine } from './atomic/state-machine.ts';
import type { ServerGroup, ServerOptions } from './flags.ts';
import { quarantineIfOrdered } from './fresh-start.ts';
import { HashClient } from './atomic/service-hash-client.ts';
import { SelfCheck } from './atomic/self-check.ts';
import { Node, systemClock, type Clock, type Logger, type SnapshotReader } from './raft/index.ts';
import { lockDirectory } from './raft/storage/directory-lock.ts';
import { nodeFileSystem } from './raft/storage/node-file-system.ts';
import { openStorage } from './raft/storage/open-storage.ts';
import { newCopyId } from './raft/transport/copy-id.ts';
import { restoreIfOrdered } from './restore.ts';
import { fetchSnapshot } from './raft/transport/snapshot-copier.ts';
import type { Transport } from './raft/transport/transport.ts';

const MILLISECONDS = 1_000;

/** One Raft group on this server: its node, its counters and how busy it is. */
export type GroupServer = {
  readonly group: string;
  readonly node: Node<Proposal>;
  readonly stateMachine: AtomicStateMachine;
  readonly service: AtomicServiceCore;
  readonly activity: ActivityLog;
  readonly openSnapshot: () => Promise<SnapshotReader | undefined>;
  /** Ends what runs beside the node: the service and the self-check. */
  readonly close: () => void;
};

/** What the groups of one server share. */
export type GroupTools = {
  readonly transport: Transport;
  readonly logger: Logger;
  readonly loopDelayMaxMs: () => number;
  readonly onWriteLatency: (group: string, durationMs: number) => void;
  readonly onReadLatency: (group: string, durationMs: number) => void;
};

/**
 * Opens the data directory of a group and starts its node.
 *
 * @throws RaftError with one sentence that says what is wrong with the directory.
 */
export async function startGroup(
  group: ServerGroup,
  options: ServerOptions,
  tools: GroupTools,
): Promise<GroupServer> {
  const { transport, logger } = tools;
  const clock: Clock = systemClock;
  const stateMachine = new AtomicStateMachine({
    mapCapacity: options.mapCapacity,
    logAppliedTask: options.logAppliedTask,
    logger,
    clock,
  });
  await quarantineIfOrdered(group, logger);
  await restoreIfOrdered(group, options, logger);
  const storage = await openStorage(nodeFileSystem, {
    dataPath: resolve(group.dataPath),
    group: group.name,
    peer: options.peer,
    clusterId: options.clusterId,
    drawIncarnation: randomUUID,
    segmentBytesMax: options.raftMaxSegmentSize,
    sync: options.raftSync,
    lock: lockDirectory,
  });
  const node = new Node<Proposal>(group.name, options.peer);
  try {
    await node.init({
      ...{ stateMachine, storage, transport, clock, logger },
      seed: Math.floor(Math.random() * 2 ** 32),
      initialVoters: options.conf,
      initialState: options.initialState,
      copySnapshot: fetchSnapshot,
      newCopyId,
      electionTimeoutMs: options.electionTimeoutMs,
      catchUpTimeoutMs: options.catchUpTimeoutMs,
      clockDriftMaxMs: options.maxClockDriftMs,
      leaderLease: options.raftEnableLeaderLease,
      snapshotIntervalMs: options.snapshotInterval * MILLISECONDS,
      snapshotLogBytes: options.snapshotLogBytes,
      pendingTasksMax: options.pendingTasksMax,
      pendingBytesMax: options.pendingBytesMax,
      appendBytesMax: options.raftMaxBodySize,
      inFlightEntriesMax: options.inFlightEntriesMax,
      inFlightBytesMax: options.inFlightBytesMax,
    });
  } catch (error) {
    await node.shutdown();
    throw error;
  }
  return {
    ...serve(node, stateMachine, { options, tools }),
    openSnapshot: () => storage.snapshots.open(),
  };
}

/** What a started node needs beside it: the service, its figures and the self-check. */
function serve(
  node: Node<Proposal>,
  stateMachine: AtomicStateMachine,
  { options, tools }: { readonly options: ServerOptions; readonly tools: GroupTools },
): Omit<GroupServer, 'openSnapshot'> {
  const { group } = node;
  const { logger } = tools;
  const clock = systemClock;
  const activity = new ActivityLog({
    now: () => performance.now(),
    appliedOperations: () => stateMachine.appliedOperations,
    loopDelayMaxMs: tools.loopDelayMaxMs,
  });
  const service = new AtomicServiceCore({
    ...{ node, stateMachine, clock },
    checkTerm: options.checkTerm,
    limits: {
      mapEntriesMax: options.mapEntriesMax,
      inFlightBytesMax: options.pendingBytesMax,
      messageBytesMax: options.messageBytesMax,
    },
    onWriteLatency: (durationMs) => {
      activity.recordWrite(durationMs);
      tools.onWriteLatency(group, durationMs);
    },
    onReadLatency: (durationMs) => {
      activity.recordRead(durationMs);
      tools.onReadLatency(group, durationMs);
    },
  });
  const hashes = new HashClient(group);
  const selfCheck = new SelfCheck({
    ...{ node, stateMachine, clock, logger },
    fetchHash: (peer, index) => hashes.fetchHash(peer, index),
  });
  selfCheck.start();
  const close = () => {
    service.close();
    selfCheck.close();
    hashes[Symbol.dispose]();
  };
  return { group, node, stateMachine, service, activity, close };
}
