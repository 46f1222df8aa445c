import {
  Metadata,
  status,
  type ServerUnaryCall,
  type ServerWritableStream,
  type StatusObject,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type {
  BackupRequest,
  BackupResponse,
  GetStateHashRequest,
  GetStateHashResponse,
  MaintenanceServiceServer,
} from '../../proto/gen/atomic/v1/atomic.ts';
import { RaftError, type NodeApi, type SnapshotReader } from '../raft/index.ts';
import type { Proposal } from './proposal.ts';
import type { AtomicStateMachine } from './state-machine.ts';

/** What the service needs of one group on this server. */
export type MaintainedGroup = {
  readonly node: Pick<NodeApi<Proposal>, 'snapshot'>;
  readonly stateMachine: Pick<AtomicStateMachine, 'checkpoints' | 'appliedIndex'>;
  /** The newest snapshot on disk; the service closes it. */
  readonly openSnapshot: () => Promise<SnapshotReader | undefined>;
};

type BackupCall = ServerWritableStream<BackupRequest, BackupResponse>;

const CHUNK_BYTES = 256 * 1024;

/** The handlers of atomic.v1.MaintenanceService. */
export function createMaintenanceService(
  groups: ReadonlyMap<string, MaintainedGroup>,
): MaintenanceServiceServer {
  return {
    getStateHash: (
      call: ServerUnaryCall<GetStateHashRequest, GetStateHashResponse>,
      done: sendUnaryData<GetStateHashResponse>,
    ) => {
      const group = groups.get(call.request.group);
      if (group === undefined) {
        done(unknownGroup(call.request.group));
        return;
      }
      const { checkpoints, appliedIndex } = group.stateMachine;
      const hash = checkpoints.hashAt(call.request.index);
      done(null, { found: hash !== undefined, hash: hash ?? 0n, appliedIndex });
    },
    backup: (call: BackupCall) => {
      const group = groups.get(call.request.group);
      if (group === undefined) {
        call.emit('error', unknownGroup(call.request.group));
        return;
      }
      backUp(group, call).catch((error: unknown) => {
        call.emit('error', backupFailed(error));
      });
    },
  };
}

/** Saves what is new, then streams the newest snapshot's files. */
async function backUp(group: MaintainedGroup, call: BackupCall): Promise<void> {
  try {
    await group.node.snapshot();
  } catch (error) {
    // Another snapshot is being saved: the one before it will do.
    if (!(error instanceof RaftError && error.code === 'EBUSY')) throw error;
  }
  const reader = await group.openSnapshot();
  if (reader === undefined) throw new RaftError('ENODATA', 'there is nothing to back up yet');
  try {
    await streamFiles(reader, call);
  } finally {
    await reader.close();
  }
  call.end();
}

async function streamFiles(reader: SnapshotReader, call: BackupCall): Promise<void> {
  const { index, term } = reader.meta.lastIncluded;
  const lastFile = reader.files.at(-1);
  let first = true;
  for (const file of reader.files) {
    let offset = 0;
    let ended = false;
    while (!ended) {
      if (call.cancelled) return;
      const data = await reader.read(file.name, offset, CHUNK_BYTES);
      const start = offset;
      offset += data.length;
      ended = offset >= file.size;
      if (data.length === 0 && !ended) {
        throw new RaftError('EIO', `the snapshot file ${file.name} is cut off`);
      }
      await send(call, {
        file: file.name,
        offset: start,
        data,
        fileSize: start === 0 ? file.size : 0,
        fileChecksum: start === 0 ? file.checksum : '',
        lastIncludedIndex: first ? index : 0,
        lastIncludedTerm: first ? term : 0,
        last: file === lastFile && ended,
      });
      first = false;
    }
  }
}

/** Waits while the client takes nothing; ends also when it is gone. */
function send(call: BackupCall, chunk: BackupResponse): Promise<void> {
  if (call.write(chunk)) return Promise.resolve();
  return new Promise((resolve) => {
    const events = ['drain', 'cancelled', 'close'] as const;
    const goOn = () => {
      for (const event of events) call.off(event, goOn);
      resolve();
    };
    for (const event of events) call.on(event, goOn);
  });
}

function unknownGroup(group: string): StatusObject {
  const details = `there is no group "${group}" on this server`;
  return { code: status.NOT_FOUND, details, metadata: new Metadata() };
}

function backupFailed(error: unknown): StatusObject {
  const details = error instanceof Error ? error.message : String(error);
  return {
    code: status.UNAVAILABLE,
    details: `backup failed: ${details}`,
    metadata: new Metadata(),
  };
}
