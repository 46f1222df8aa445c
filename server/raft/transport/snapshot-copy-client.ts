import { credentials } from '@grpc/grpc-js';
import type { ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { RaftServiceClient } from '../../../proto/gen/raft/v1/raft.ts';
import type { PeerId } from '../core/ids.ts';
import { peerAddress } from '../core/peer-id.ts';
import { crc32c } from '../encoding/crc32c.ts';
import { RaftError } from '../error.ts';
import type { Clock } from '../node/clock.ts';
import type { SnapshotFile } from '../storage/snapshot-storage.ts';
import { raftErrorFrom } from './grpc-status.ts';
import { PEER_MESSAGE_BYTES_MAX, peerChannelOptions } from './raft-service-definition.ts';
import { metadataWith, type SharedSecret } from './shared-secret.ts';
import type { SnapshotCopyClient } from './transport.ts';

export type CopyTarget = {
  readonly group: string;
  readonly peer: PeerId;
  readonly copyId: string;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, 'after'>;
  readonly secret: SharedSecret | undefined;
  /** Called once, when the client is closed. */
  readonly closed: () => void;
};

type Callback<T> = (error: ServiceError | null, response: T) => void;

/** Fetches snapshot files over a connection of its own, so that heartbeats never wait behind it. */
export class GrpcSnapshotCopyClient implements SnapshotCopyClient {
  readonly #target: CopyTarget;
  readonly #client: RaftServiceClient;

  constructor(target: CopyTarget) {
    this.#target = target;
    const address = peerAddress(target.peer);
    const options = peerChannelOptions(address, PEER_MESSAGE_BYTES_MAX);
    this.#client = new RaftServiceClient(address, credentials.createInsecure(), options);
  }

  async list(signal: AbortSignal): Promise<readonly SnapshotFile[]> {
    const { group, peer, copyId } = this.#target;
    const request = { group, peer, copyId };
    const { files } = await this.#call<{ files: SnapshotFile[] }>(signal, (callback) =>
      this.#client.listSnapshotFiles(request, metadataWith(this.#target.secret), callback),
    );
    return files;
  }

  async read(
    name: string,
    offset: number,
    { bytesMax, signal }: { readonly bytesMax: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    const { group, peer, copyId } = this.#target;
    const request = { group, peer, copyId, name, offset, bytesMax };
    const { data, checksum } = await this.#call<{ data: Uint8Array; checksum: number }>(
      signal,
      (callback) =>
        this.#client.readSnapshotFile(request, metadataWith(this.#target.secret), callback),
    );
    if (crc32c(data) !== checksum || data.length > bytesMax) {
      // EAGAIN: the file on the other side is checked as a whole; this is about one transfer.
      throw new RaftError('EAGAIN', `a chunk of ${name} at ${offset} arrived damaged`);
    }
    return data;
  }

  close(): void {
    this.#client.close();
    this.#target.closed();
  }

  #call<T>(signal: AbortSignal, start: (callback: Callback<T>) => ClientUnaryCall): Promise<T> {
    if (signal.aborted) return Promise.reject(cancelled());
    const { timeoutMs, clock, peer } = this.#target;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const call = start((error, response) => {
      if (error === null) resolve(response);
      else reject(signal.aborted ? cancelled() : raftErrorFrom(error));
    });
    // Not gRPC's deadline, which is a wall time.
    const cancelTimeout = clock.after(timeoutMs, () => {
      reject(new RaftError('ETIMEDOUT', `no answer from ${peer} within ${timeoutMs} ms`));
      call.cancel();
    });
    const cancel = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    return promise.finally(() => {
      cancelTimeout();
      signal.removeEventListener('abort', cancel);
    });
  }
}

function cancelled(): RaftError {
  return new RaftError('ECANCELED', 'the copy was cancelled');
}
