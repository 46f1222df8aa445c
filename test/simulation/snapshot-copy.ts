import type { PeerId } from '../../server/raft/core/ids.ts';
import { RaftError } from '../../server/raft/error.ts';
import type {
  SnapshotCopyClient,
  SnapshotCopySource,
} from '../../server/raft/transport/transport.ts';
import type { Endpoint } from './endpoint.ts';
import type { Scheduler } from './scheduler.ts';

/** A chunk that has not come after this long never will. */
const CHUNK_TIMEOUT_MS = 2_000;

type Connection = {
  readonly scheduler: Scheduler;
  readonly requester: Endpoint;
  readonly source: PeerId;
  readonly copyId: string;
  readonly carry: (from: PeerId, to: PeerId, deliver: (target: Endpoint) => void) => boolean;
};

/** Fetches the files of an offered snapshot over the simulated network. */
export function copyClient(connection: Connection): SnapshotCopyClient {
  let closed = false;
  const call = <T>(
    signal: AbortSignal,
    request: (source: SnapshotCopySource) => Promise<T>,
  ): Promise<T> => {
    if (closed || signal.aborted) return Promise.reject(new RaftError('ECANCELED', 'copy closed'));
    return exchange(connection, signal, request);
  };
  return {
    list: (signal) => call(signal, (source) => Promise.resolve(source.files)),
    read: (name, offset, { bytesMax, signal }) =>
      call(signal, (source) => source.read(name, offset, bytesMax)),
    close: () => {
      closed = true;
    },
  };
}

function exchange<T>(
  connection: Connection,
  signal: AbortSignal,
  request: (source: SnapshotCopySource) => Promise<T>,
): Promise<T> {
  const { scheduler, requester, source } = connection;
  const answer = Promise.withResolvers<T>();
  const abort = (): void => {
    answer.reject(new RaftError('ECANCELED', 'the copy was cancelled'));
  };
  signal.addEventListener('abort', abort);
  const cancelTimeout = scheduler.after(CHUNK_TIMEOUT_MS, () => {
    requester.gate.enter('timer', () => {
      answer.reject(new RaftError('ETIMEDOUT', `no chunk from ${source}`));
    });
  });
  const settle = (deliver: () => void): void => {
    connection.carry(source, requester.peer, (target) => {
      if (target === requester) deliver();
    });
  };
  connection.carry(requester.peer, source, (target) => {
    const offered = target.receiver?.openCopy(connection.copyId);
    if (offered === undefined) {
      settle(() => {
        answer.reject(new RaftError('ENOENT', `${source} no longer offers this snapshot`));
      });
      return;
    }
    request(offered).then(
      (value) => {
        settle(() => {
          answer.resolve(value);
        });
      },
      (error: unknown) => {
        settle(() => {
          answer.reject(error instanceof Error ? error : new Error(String(error)));
        });
      },
    );
  });
  return answer.promise.finally(() => {
    cancelTimeout();
    signal.removeEventListener('abort', abort);
  });
}
