import { describe, expect, it } from '@jest/globals';
import { RaftError } from '../../../../server/raft/error.ts';
import { systemClock } from '../../../../server/raft/node/clock.ts';
import type {
  SnapshotFile,
  SnapshotReceiver,
} from '../../../../server/raft/storage/snapshot-storage.ts';
import { newCopyId } from '../../../../server/raft/transport/copy-id.ts';
import type { CopyLimits } from '../../../../server/raft/transport/snapshot-copier.ts';
import {
  copySnapshot,
  listSnapshotFiles,
} from '../../../../server/raft/transport/snapshot-copier.ts';
import type {
  SnapshotCopyClient,
  SnapshotCopySource,
} from '../../../../server/raft/transport/transport.ts';
import { TcpProxy } from '../../../support/tcp-proxy.ts';
import { peerId, TransportHost, until } from '../../../support/transport-host.ts';

const clock = systemClock;
const FAST: Partial<CopyLimits> = { retryDelayMinMs: 1, retryDelayMaxMs: 20 };

/** Keeps what it is given in memory and notes how the copy ended. */
class MemoryReceiver implements SnapshotReceiver {
  readonly contents = new Map<string, Buffer>();
  readonly writes: string[] = [];
  end: 'finished' | 'abandoned' | undefined;

  receivedBytes({ name }: SnapshotFile): Promise<number> {
    return Promise.resolve(this.contents.get(name)?.length ?? 0);
  }

  write({ name }: SnapshotFile, offset: number, bytes: Uint8Array): Promise<void> {
    const before = this.contents.get(name) ?? Buffer.alloc(0);
    if (before.length !== offset) throw new Error(`a gap in ${name}`);
    this.contents.set(name, Buffer.concat([before, bytes]));
    this.writes.push(`${name}@${offset}`);
    return Promise.resolve();
  }

  finish(): Promise<void> {
    this.end = 'finished';
    return Promise.resolve();
  }

  abandon(): Promise<void> {
    this.end = 'abandoned';
    return Promise.resolve();
  }
}

function patterned(bytes: number): Buffer {
  const content = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 4) content.writeUInt32LE(at, at);
  return content;
}

function sourceOf(files: Readonly<Record<string, Buffer>>): SnapshotCopySource {
  return {
    files: Object.entries(files).map(([name, { length }]) => ({
      name,
      size: length,
      checksum: '0',
    })),
    read: (name, offset, bytesMax) =>
      Promise.resolve(files[name]?.subarray(offset, offset + bytesMax) ?? Buffer.alloc(0)),
  };
}

/** A client that reads straight from a source; `before` may fail an attempt. */
function clientOf(source: SnapshotCopySource, before: () => void = () => undefined) {
  let running = 0;
  const seen = { runningMax: 0, reads: [] as string[] };
  const client: SnapshotCopyClient = {
    list: async () => {
      await Promise.resolve();
      before();
      return source.files;
    },
    read: async (name, offset, { bytesMax }) => {
      running++;
      seen.runningMax = Math.max(seen.runningMax, running);
      seen.reads.push(`${name}@${offset}`);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      before();
      return source.read(name, offset, bytesMax);
    },
    close: () => undefined,
  };
  return { client, seen };
}

const signal = new AbortController().signal;

describe('copySnapshot', () => {
  it('copies files of all sizes with several chunks on the way at once', async () => {
    const files = { empty: Buffer.alloc(0), small: patterned(12), 'dir/large': patterned(10_000) };
    const source = sourceOf(files);
    const { client, seen } = clientOf(source);
    const receiver = new MemoryReceiver();
    const limits = { chunkBytes: 1_000, chunksInFlight: 3 };
    await copySnapshot({ client, clock, signal, limits, files: source.files, receiver });
    expect(Object.fromEntries(receiver.contents)).toEqual(files);
    expect(receiver.end).toBe('finished');
    expect(seen.runningMax).toBe(3);
  });

  it('goes on where an earlier copy broke off', async () => {
    const content = patterned(5_000);
    const source = sourceOf({ data: content });
    const { client, seen } = clientOf(source);
    const receiver = new MemoryReceiver();
    receiver.contents.set('data', content.subarray(0, 3_500));
    const limits = { chunkBytes: 1_000 };
    await copySnapshot({ client, clock, signal, limits, files: source.files, receiver });
    expect(seen.reads).toEqual(['data@3500', 'data@4500']);
    expect(receiver.contents.get('data')).toEqual(content);
  });

  it('repeats chunks that fail in passing', async () => {
    let attempts = 0;
    const source = sourceOf({ data: patterned(8_000) });
    const { client } = clientOf(source, () => {
      if (++attempts % 3 === 0) throw new RaftError('EHOSTUNREACH', 'the line is bad');
    });
    const receiver = new MemoryReceiver();
    const limits = { ...FAST, chunkBytes: 1_000 };
    await copySnapshot({ client, clock, signal, limits, files: source.files, receiver });
    expect(receiver.contents.get('data')).toEqual(patterned(8_000));
  });

  it.each([
    ['the peer stays out of reach', 'EHOSTUNREACH', 11],
    ['the offer is gone', 'ENOENT', 1],
    ['the source fails', 'EIO', 1],
  ] as const)('gives up, and the receiver keeps what came, when %s', async (_, code, attempts) => {
    let failures = 0;
    const source = sourceOf({ data: patterned(800) });
    const { client } = clientOf(source, () => {
      failures++;
      throw new RaftError(code, 'no');
    });
    const receiver = new MemoryReceiver();
    const limits = { ...FAST, failuresMax: 10, chunkBytes: 1_000 };
    const copy = copySnapshot({ client, clock, signal, limits, files: source.files, receiver });
    await expect(copy).rejects.toMatchObject({ code });
    expect(receiver.end).toBe('abandoned');
    expect(failures).toBe(attempts);
  });

  it('fails when a file is shorter than listed', async () => {
    const { client } = clientOf(sourceOf({ data: patterned(400) }));
    const receiver = new MemoryReceiver();
    const files = [{ name: 'data', size: 1_000, checksum: '0' }];
    const copy = copySnapshot({ client, clock, signal, files, receiver });
    await expect(copy).rejects.toMatchObject({ code: 'EIO' });
  });

  it('ends when aborted, also in a pause', async () => {
    const aborting = new AbortController();
    const { client } = clientOf(sourceOf({ data: patterned(400) }), () => {
      setImmediate(() => {
        aborting.abort();
      });
      throw new RaftError('EAGAIN', 'later');
    });
    const receiver = new MemoryReceiver();
    const files = [{ name: 'data', size: 400, checksum: '0' }];
    const limits = { retryDelayMinMs: 1_000_000, retryDelayMaxMs: 1_000_000 };
    const { signal: aborted } = aborting;
    const copy = copySnapshot({ client, clock, signal: aborted, limits, files, receiver });
    await expect(copy).rejects.toMatchObject({ code: 'ECANCELED' });
    expect(receiver.end).toBe('abandoned');
  });
});

describe('listSnapshotFiles', () => {
  const file = (name: string, size = 1): SnapshotFile => ({ name, size, checksum: '0' });

  it.each<[string, readonly SnapshotFile[]]>([
    ['a parent folder', [file('../raft_meta')]],
    ['a parent folder in the middle', [file('a/../../b')]],
    ['an absolute path', [file('/etc/passwd')]],
    ['the folder itself', [file('.')]],
    ['a NUL', [file('a\0b')]],
    ['a backslash', [file('..\\x')]],
    ['an empty name', [file('')]],
    ['an empty part', [file('a//b')]],
    ['a name of 2000 letters', [file('x'.repeat(2_000))]],
    ['a name twice', [file('a'), file('a')]],
    ['a negative size', [file('a', -1)]],
    ['too many files', Array.from({ length: 11 }, (_, at) => file(`f${at}`))],
    ['too many bytes', [file('a', 600), file('b', 600)]],
  ])('refuses %s', async (_, files) => {
    const { client } = clientOf({ files, read: () => Promise.resolve(new Uint8Array()) });
    const limits = { filesMax: 10, totalBytesMax: 1_000 };
    const list = listSnapshotFiles({ client, clock, signal, limits });
    await expect(list).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('a snapshot copied over gRPC', () => {
  it('arrives whole in spite of broken connections, beside the heartbeats', async () => {
    const content = patterned(24 * 1_048_576);
    const peer = peerId('127.0.0.1:21151');
    await using leader = await TransportHost.start({ port: 21150, peer });
    await using follower = await TransportHost.start({ port: 21102 });
    await using proxy = await TcpProxy.listen(21151, () => 21150);
    const copyId = newCopyId();
    leader.receiver.copies.set(copyId, sourceOf({ data: content }));
    const client = follower.transport.openCopy({ group: 'g', local: follower.peer, peer, copyId });
    const receiver = new MemoryReceiver();
    const files = await listSnapshotFiles({ client, clock, signal });
    const copy = copySnapshot({ client, clock, signal, limits: FAST, files, receiver });
    for (const percent of [20, 40, 60, 80]) {
      await until(() => proxy.bytesToClient > (percent / 100) * content.length, `${percent} %`);
      proxy.reset();
    }
    await copy;
    expect(receiver.contents.get('data')?.equals(content)).toBe(true);
    // Resumed, not begun again: each chunk was written once, in order.
    expect(new Set(receiver.writes).size).toBe(receiver.writes.length);
    client.close();
  });

  it.each([
    ['a copy id that was never given', { copyId: newCopyId() }, 'ENOENT'],
    ['a file that is not listed', { name: '../../etc/passwd' }, 'EACCES'],
    ['a chunk of no bytes', { bytesMax: 0 }, 'EINVAL'],
    ['a chunk above 1 MiB', { bytesMax: 1_048_577 }, 'EINVAL'],
    ['a negative offset', { offset: -1 }, 'EINVAL'],
    ['an offset behind the end', { offset: 101 }, 'EINVAL'],
    ['a node that is not here', { peer: '127.0.0.1:21103:9' }, 'ENOENT'],
  ])('is refused: %s', async (_, wrong, code) => {
    await using host = await TransportHost.start({ port: 21103 });
    const offered = newCopyId();
    host.receiver.copies.set(offered, sourceOf({ data: patterned(100) }));
    const right = { copyId: offered, name: 'data', bytesMax: 10, offset: 0, peer: host.peer };
    const { copyId, name, bytesMax, offset, peer } = { ...right, ...wrong };
    const target = { group: 'g', local: host.peer, peer: peerId(peer), copyId };
    const client = host.transport.openCopy(target);
    await expect(client.read(name, offset, { bytesMax, signal })).rejects.toMatchObject({ code });
    client.close();
  });

  it('waits no longer than its timeout for a server that is silent', async () => {
    await using follower = await TransportHost.start({
      port: 21104,
      limits: { copyTimeoutMs: 50 },
    });
    await using proxy = await TcpProxy.listen(21105, () => 21104);
    proxy.block('toClient');
    const peer = peerId('127.0.0.1:21105');
    const target = { group: 'g', local: follower.peer, peer, copyId: newCopyId() };
    const client = follower.transport.openCopy(target);
    await expect(client.list(signal)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    client.close();
  });

  it('refuses more chunks at once than allowed', async () => {
    await using host = await TransportHost.start({ port: 21106, limits: { copyReadsMax: 1 } });
    const release = Promise.withResolvers<Uint8Array>();
    const files = [{ name: 'data', size: 10, checksum: '0' }];
    let reads = 0;
    const read = (): Promise<Uint8Array> => {
      reads++;
      return release.promise;
    };
    host.receiver.copies.set('id', { files, read });
    const target = { group: 'g', local: host.peer, peer: host.peer, copyId: 'id' };
    const client = host.transport.openCopy(target);
    const first = client.read('data', 0, { bytesMax: 4, signal });
    await until(() => reads === 1, 'the first is being read');
    const second = client.read('data', 4, { bytesMax: 4, signal });
    await expect(second).rejects.toMatchObject({ code: 'EBUSY' });
    release.resolve(new Uint8Array(4));
    expect(await first).toHaveLength(4);
    client.close();
  });

  it('has an id of 128 random bits', () => {
    const ids = new Set(Array.from({ length: 1_000 }, newCopyId));
    expect(ids.size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });
});
