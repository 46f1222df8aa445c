import type { handleUnaryCall } from '@grpc/grpc-js';
import type {
  ListSnapshotFilesRequest,
  ListSnapshotFilesResponse,
  ReadSnapshotFileRequest,
  ReadSnapshotFileResponse,
} from '../../../proto/gen/raft/v1/raft.ts';
import { parsePeerId } from '../core/peer-id.ts';
import { crc32c } from '../encoding/crc32c.ts';
import { RaftError } from '../error.ts';
import { grpcErrorOf } from './grpc-status.ts';
import type { GrpcTransport } from './grpc-transport.ts';
import type { ExchangeCall } from './incoming-stream.ts';
import { missingSecret, type SharedSecret } from './shared-secret.ts';
import type { SnapshotCopySource } from './transport.ts';

/** Most bytes of one snapshot chunk. */
export const COPY_CHUNK_BYTES_MAX = 1_048_576;

/** The handlers of raft.v1.RaftService; add them with `RAFT_SERVICE` as definition. */
export function raftService(transport: GrpcTransport) {
  const { secret } = transport;
  let readsRunning = 0;
  const readChunk = async (request: ReadSnapshotFileRequest): Promise<ReadSnapshotFileResponse> => {
    const source = offeredCopy(transport, request);
    checkRead(source, request);
    if (readsRunning >= transport.limits.copyReadsMax) {
      throw new RaftError('EBUSY', 'too many snapshot chunks are being read');
    }
    readsRunning++;
    try {
      return await readFrom(source, request);
    } finally {
      readsRunning--;
    }
  };
  const listFiles = (request: ListSnapshotFilesRequest): ListSnapshotFilesResponse => ({
    files: [...offeredCopy(transport, request).files],
  });
  return {
    exchange: (call: ExchangeCall) => {
      transport.accept(call);
    },
    listSnapshotFiles: unaryHandler(
      (request: ListSnapshotFilesRequest) => Promise.resolve(request).then(listFiles),
      secret,
    ),
    readSnapshotFile: unaryHandler(readChunk, secret),
  };
}

/**
 * A gRPC handler of a function that resolves with the answer or rejects with a RaftError; callers
 * must show `secret`, if there is one.
 */
export function unaryHandler<Request, Response>(
  serve: (request: Request) => Promise<Response>,
  secret?: SharedSecret,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const refusal = missingSecret(secret, call.metadata);
    if (refusal !== undefined) {
      callback(grpcErrorOf(refusal));
      return;
    }
    serve(call.request).then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        callback(grpcErrorOf(error));
      },
    );
  };
}

function offeredCopy(
  transport: GrpcTransport,
  request: { readonly group: string; readonly peer: string; readonly copyId: string },
): SnapshotCopySource {
  const parsed = parsePeerId(request.peer);
  if (!parsed.ok) throw new RaftError('EINVAL', parsed.reason);
  const { group, copyId } = request;
  const source = transport.findCopy({ group, peer: parsed.peer, copyId });
  if (source === undefined) {
    throw new RaftError('ENOENT', 'this snapshot is not offered here, or no longer');
  }
  return source;
}

function checkRead(source: SnapshotCopySource, request: ReadSnapshotFileRequest): void {
  const { name, offset, bytesMax } = request;
  if (bytesMax < 1 || bytesMax > COPY_CHUNK_BYTES_MAX) {
    throw new RaftError('EINVAL', `a chunk has 1 to ${COPY_CHUNK_BYTES_MAX} bytes`);
  }
  const file = source.files.find((listed) => listed.name === name);
  // Only listed names reach the file system: no path can lead anywhere else.
  if (file === undefined) throw new RaftError('EACCES', 'this file is not part of the snapshot');
  if (offset < 0 || offset > file.size) {
    throw new RaftError('EINVAL', `the offset is outside of ${name}`);
  }
}

async function readFrom(
  source: SnapshotCopySource,
  { name, offset, bytesMax }: ReadSnapshotFileRequest,
): Promise<ReadSnapshotFileResponse> {
  const data = await source.read(name, offset, bytesMax);
  const size = source.files.find((listed) => listed.name === name)?.size ?? 0;
  return { data, checksum: crc32c(data), last: offset + data.length >= size };
}
