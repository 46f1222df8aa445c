import type { SnapshotMeta } from '../core/message.ts';
import { RaftError } from '../error.ts';
import type { RaftErrorCode } from '../error.ts';
import type { Clock } from '../node/clock.ts';
import type {
  SnapshotFile,
  SnapshotReceiver,
  SnapshotStorage,
} from '../storage/snapshot-storage.ts';
import type { SnapshotCopyClient } from './transport.ts';

/** Bounds and pace of a copy. */
export type CopyLimits = {
  readonly filesMax: number;
  readonly totalBytesMax: number;
  /** Bytes asked for at once; at most 1 MiB. */
  readonly chunkBytes: number;
  /** Chunks asked for before the first has come. */
  readonly chunksInFlight: number;
  /** Failed attempts in a row, over all chunks, without any chunk arriving. */
  readonly failuresMax: number;
  /** Pause after the first failure; doubles up to the maximum. */
  readonly retryDelayMinMs: number;
  readonly retryDelayMaxMs: number;
};

export const DEFAULT_COPY_LIMITS: CopyLimits = {
  filesMax: 10_000,
  totalBytesMax: 2 ** 40,
  chunkBytes: 524_288,
  chunksInFlight: 3,
  failuresMax: 30,
  retryDelayMinMs: 50,
  retryDelayMaxMs: 1_000,
};

type CopyTools = {
  readonly client: SnapshotCopyClient;
  readonly clock: Pick<Clock, 'after'>;
  readonly signal: AbortSignal;
  readonly limits?: Partial<CopyLimits>;
};

/** Failures that the next attempt may not meet; all others end the copy. */
const PASSING: ReadonlySet<RaftErrorCode> = new Set<RaftErrorCode>([
  'EAGAIN',
  'EBUSY',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'EINTR',
  'ETIMEDOUT',
]);

/**
 * Asks which files an offered snapshot has, and checks names and sizes: the names become paths on
 * this disk.
 *
 * @throws RaftError EINVAL for a hostile or oversized list; ENOENT when the offer is gone;
 *   ECANCELED when aborted; the last failure when the peer stays out of reach.
 */
export async function listSnapshotFiles(tools: CopyTools): Promise<readonly SnapshotFile[]> {
  const limits = { ...DEFAULT_COPY_LIMITS, ...tools.limits };
  const retries = new Retries(tools, limits);
  const files = await retries.run(() => tools.client.list(tools.signal));
  checkFiles(files, limits);
  return files;
}

/**
 * Fetches the files into `receiver`, going on where an earlier copy broke off, with several chunks
 * on the way at once. Resolves when all are complete, checked and synced; otherwise the receiver
 * is abandoned and keeps what came.
 *
 * @throws RaftError as `listSnapshotFiles`; EIO when a file is shorter than listed, or from the
 *   receiver.
 */
export async function copySnapshot(
  tools: CopyTools & {
    readonly files: readonly SnapshotFile[];
    readonly receiver: SnapshotReceiver;
  },
): Promise<void> {
  const { files, receiver, signal } = tools;
  const limits = { ...DEFAULT_COPY_LIMITS, ...tools.limits };
  // One chunk that fails for good ends the others.
  const failed = new AbortController();
  const bounded = { ...tools, signal: AbortSignal.any([signal, failed.signal]) };
  const copy = new Copy(bounded, limits);
  try {
    checkFiles(files, limits);
    for (const file of files) await copy.fetch(file, receiver);
    await copy.drain();
    throwIfAborted(signal);
    await receiver.finish();
  } catch (error) {
    failed.abort();
    await copy.settle();
    await receiver.abandon();
    throw error;
  }
}

/**
 * Fetches an offered snapshot into `snapshots`, complete and synced but not yet the newest: what
 * NodeOptions.copySnapshot wants.
 *
 * @throws RaftError as `copySnapshot`.
 */
export async function fetchSnapshot(
  tools: CopyTools & { readonly meta: SnapshotMeta; readonly snapshots: SnapshotStorage },
): Promise<void> {
  const files = await listSnapshotFiles(tools);
  const receiver = await tools.snapshots.receive(tools.meta, files);
  await copySnapshot({ ...tools, files, receiver });
}

/** The chunks on their way, first asked first written. */
class Copy {
  readonly #tools: CopyTools;
  readonly #limits: CopyLimits;
  readonly #retries: Retries;
  readonly #chunks: {
    readonly bytes: Promise<Uint8Array>;
    write(bytes: Uint8Array): Promise<void>;
  }[] = [];

  constructor(tools: CopyTools, limits: CopyLimits) {
    this.#tools = tools;
    this.#limits = limits;
    this.#retries = new Retries(tools, limits);
  }

  async fetch(file: SnapshotFile, receiver: SnapshotReceiver): Promise<void> {
    const { chunkBytes, chunksInFlight } = this.#limits;
    if (file.size === 0) await receiver.write(file, 0, new Uint8Array(0));
    let offset = await receiver.receivedBytes(file);
    while (offset < file.size) {
      const start = offset;
      const length = Math.min(chunkBytes, file.size - start);
      if (this.#chunks.length >= chunksInFlight) await this.#writeFirst();
      const bytes = this.#readChunk(file, start, length);
      // A failure is met when its turn comes; until then it is not unhandled.
      bytes.catch(() => undefined);
      this.#chunks.push({ bytes, write: (chunk) => receiver.write(file, start, chunk) });
      offset += length;
    }
  }

  /** Writes all that is still on its way. */
  async drain(): Promise<void> {
    while (this.#chunks.length > 0) await this.#writeFirst();
  }

  /** Waits until nothing is on its way any more, whatever came of it. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#chunks.map(({ bytes }) => bytes));
  }

  async #writeFirst(): Promise<void> {
    const [chunk] = this.#chunks;
    if (chunk === undefined) return;
    const bytes = await chunk.bytes;
    this.#chunks.shift();
    await chunk.write(bytes);
  }

  async #readChunk(file: SnapshotFile, start: number, length: number): Promise<Uint8Array> {
    const { client, signal } = this.#tools;
    const parts: Uint8Array[] = [];
    let received = 0;
    while (received < length) {
      const at = start + received;
      const bytesMax = length - received;
      const part = await this.#retries.run(() => client.read(file.name, at, { bytesMax, signal }));
      if (part.length === 0 || part.length > bytesMax) {
        throw new RaftError('EIO', `${file.name} is not as long as listed: wrong chunk at ${at}`);
      }
      parts.push(part);
      received += part.length;
    }
    const [only] = parts;
    return only !== undefined && parts.length === 1 ? only : Buffer.concat(parts);
  }
}

/** Repeats what fails in passing, with growing pauses, as long as something gets through. */
class Retries {
  readonly #tools: CopyTools;
  readonly #limits: CopyLimits;
  #failures = 0;

  constructor(tools: CopyTools, limits: CopyLimits) {
    this.#tools = tools;
    this.#limits = limits;
  }

  async run<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      throwIfAborted(this.#tools.signal);
      try {
        const result = await attempt();
        this.#failures = 0;
        return result;
      } catch (error) {
        if (!(error instanceof RaftError) || !PASSING.has(error.code)) throw error;
        if (++this.#failures > this.#limits.failuresMax) throw error;
      }
      await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    const { signal, clock } = this.#tools;
    const { retryDelayMinMs, retryDelayMaxMs } = this.#limits;
    const delayMs = Math.min(
      retryDelayMinMs * 2 ** Math.min(this.#failures - 1, 20),
      retryDelayMaxMs,
    );
    const over = Promise.withResolvers<undefined>();
    const wake = (): void => {
      over.resolve(undefined);
    };
    const cancel = clock.after(delayMs, wake);
    signal.addEventListener('abort', wake, { once: true });
    await over.promise;
    signal.removeEventListener('abort', wake);
    cancel();
  }
}

/** @throws RaftError EINVAL when a list of files is hostile or too large. */
function checkFiles(files: readonly SnapshotFile[], limits: CopyLimits): void {
  if (files.length > limits.filesMax) {
    throw new RaftError('EINVAL', `the snapshot lists ${files.length} files, more than allowed`);
  }
  const names = new Set<string>();
  let totalBytes = 0;
  for (const { name, size } of files) {
    if (!isSafeName(name) || names.has(name)) {
      throw new RaftError('EINVAL', `the snapshot lists a forbidden name: ${JSON.stringify(name)}`);
    }
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RaftError('EINVAL', `the snapshot lists a wrong size for ${name}`);
    }
    names.add(name);
    totalBytes += size;
  }
  if (totalBytes > limits.totalBytesMax) {
    throw new RaftError('EINVAL', `the snapshot has ${totalBytes} bytes, more than allowed`);
  }
}

/** A relative path of plain parts: nothing that leads out of the snapshot's folder. */
function isSafeName(name: string): boolean {
  if (name === '' || name.length > 1_024 || /[\0\\]/.test(name)) return false;
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new RaftError('ECANCELED', 'the copy was cancelled');
}
