import { describe, expect, it } from '@jest/globals';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { MonotonicMs } from '../../../../server/raft/core/ids.ts';
import { systemClock } from '../../../../server/raft/node/clock.ts';
import { FrameEncoder } from '../../../../server/raft/transport/frame-encoder.ts';
import { GrpcTransport } from '../../../../server/raft/transport/grpc-transport.ts';
import { RAFT_SERVICE } from '../../../../server/raft/transport/raft-service-definition.ts';
import type { SharedSecret } from '../../../../server/raft/transport/shared-secret.ts';
import { TcpProxy } from '../../../support/tcp-proxy.ts';
import {
  addressed,
  append,
  heartbeat,
  heartbeatAnswer,
  peerId,
  RecordingLogger,
  RecordingReceiver,
  TransportHost,
  until,
} from '../../../support/transport-host.ts';

const REFUSALS = [
  'clusterMismatch',
  'lineageMismatch',
  'incarnationMismatch',
  'notActive',
] as const;

function rounds({ messages }: RecordingReceiver): number[] {
  return messages.flatMap(({ message }) =>
    message.type === 'heartbeatRequest' || message.type === 'heartbeatResponse'
      ? [message.round]
      : [],
  );
}

/** Sends heartbeats, as a leader does, until `condition` holds. */
async function beatUntil(
  sender: TransportHost,
  target: TransportHost['peer'],
  condition: () => boolean,
): Promise<void> {
  let round = 0;
  await until(() => {
    if (condition()) return true;
    sender.send(heartbeat(sender.peer, target, ++round));
    return false;
  }, 'a heartbeat led to what was expected');
}

/** A stream opened by hand: what a stranger may do. */
function rawStream(port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = RAFT_SERVICE.exchange;
  const metadata = new Metadata();
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const failure = Promise.withResolvers<ServiceError>();
  call.on('data', () => undefined);
  call.on('error', (error) => {
    failure.resolve(error as ServiceError);
  });
  const close = (): void => {
    call.cancel();
    client.close();
  };
  return { call, failure: failure.promise, close };
}

describe('GrpcTransport between two servers', () => {
  it('tells each side who the other is when they greet', async () => {
    await using a = await TransportHost.start({ port: 21010, formatVersions: [1, 3] });
    await using b = await TransportHost.start({ port: 21011, formatVersions: [2, 4] });
    a.send(heartbeat(a.peer, b.peer));
    await until(
      () => a.receiver.announcements.length > 0 && b.receiver.announcements.length > 0,
      'both were announced',
    );
    expect(a.receiver.announcements).toEqual([
      {
        peer: b.peer,
        announcement: { incarnation: 'disk-21011', formatVersionMin: 2, formatVersionMax: 4 },
      },
    ]);
    expect(b.receiver.announcements[0]?.announcement).toEqual({
      incarnation: 'disk-21010',
      formatVersionMin: 1,
      formatVersionMax: 3,
    });
  });

  it('announces a node that registers later over the open connection', async () => {
    await using a = await TransportHost.start({ port: 21012 });
    await using b = await TransportHost.start({ port: 21013 });
    a.send(heartbeat(a.peer, b.peer));
    await until(() => a.receiver.announcements.length > 0, 'the first greeting');
    const late = new RecordingReceiver();
    const announcement = { incarnation: 'x' as never, formatVersionMin: 1, formatVersionMax: 1 };
    const peer = peerId('127.0.0.1:21013:1');
    const leave = b.transport.register({ group: 'g', peer, announcement }, late);
    await until(
      () => a.receiver.announcements.some((each) => each.peer === peer),
      'the late node was announced',
    );
    leave();
  });

  it('refuses a server without a common format version, and both say why', async () => {
    await using a = await TransportHost.start({ port: 21014, formatVersions: [1, 1] });
    await using b = await TransportHost.start({ port: 21015, formatVersions: [2, 3] });
    a.send(heartbeat(a.peer, b.peer));
    await until(() => a.receiver.unreachablePeers.length > 0, 'the connection was refused');
    expect(b.receiver.messages).toEqual([]);
    const why = /format versions .* cannot be combined with ours, .*: upgrade the older server/;
    expect(a.logger.lines.some((line) => why.test(line))).toBe(true);
    await until(() => b.logger.lines.some((line) => why.test(line)), 'the other side logged it');
  });

  it('delivers in order, bulk and heartbeats alike', async () => {
    await using a = await TransportHost.start({ port: 21016 });
    await using b = await TransportHost.start({ port: 21017 });
    for (let index = 1; index <= 50; index++) {
      a.send(append(a.peer, b.peer, index, 1_000), heartbeat(a.peer, b.peer, index));
    }
    await until(() => b.receiver.messages.length === 100, 'all arrived');
    const kinds = b.receiver.messages.map(({ message }) =>
      message.type === 'appendRequest' ? message.previous.index + 1 : -1,
    );
    expect(kinds).toEqual(Array.from({ length: 100 }, (_, at) => (at % 2 === 0 ? at / 2 + 1 : -1)));
  });

  it('sends what is said in one turn as one frame', async () => {
    await using a = await TransportHost.start({ port: 21018 });
    await using b = await TransportHost.start({ port: 21019 });
    await beatUntil(a, b.peer, () => b.receiver.messages.length > 0);
    await until(() => a.receiver.announcements.length > 0, 'the connection is open');
    const framesBefore = a.transport.counts().framesSent ?? 0;
    const messagesBefore = a.transport.counts().messagesSent ?? 0;
    a.send(append(a.peer, b.peer, 1, 10));
    a.send(heartbeat(a.peer, b.peer, 7));
    // Promises that the same turn resolves belong to it.
    await Promise.resolve().then(() => {
      a.send(append(a.peer, b.peer, 2, 10));
    });
    await until(() => (a.transport.counts().messagesSent ?? 0) >= messagesBefore + 3, 'sent');
    expect(a.transport.counts().framesSent).toBe(framesBefore + 1);
  });

  it('sends answers back on the stream of their request', async () => {
    await using a = await TransportHost.start({ port: 21020 });
    await using b = await TransportHost.start({ port: 21021 });
    b.receiver.onMessage = ({ message }) => {
      if (message.type !== 'heartbeatRequest') return;
      b.send(heartbeatAnswer(b.peer, a.peer, message.round));
    };
    a.send(heartbeat(a.peer, b.peer, 1), heartbeat(a.peer, b.peer, 2));
    await until(() => a.receiver.messages.length === 2, 'both were answered');
    expect(rounds(a.receiver)).toEqual([1, 2]);
    // The answering side never opened a connection.
    expect(b.transport.counts().connected).toBeUndefined();
  });

  it('drops an answer when no request came', async () => {
    await using a = await TransportHost.start({ port: 21022 });
    await using b = await TransportHost.start({ port: 21023 });
    b.send(heartbeatAnswer(b.peer, a.peer));
    expect(b.transport.counts().responsesDropped).toBe(1);
    expect(a.receiver.messages).toEqual([]);
  });

  it('carries several groups over one connection', async () => {
    await using a = await TransportHost.start({ port: 21024 });
    await using b = await TransportHost.start({ port: 21025 });
    await using proxy = await TcpProxy.listen(21026, () => 21025);
    const other = new RecordingReceiver();
    const announcement = { incarnation: 'x' as never, formatVersionMin: 1, formatVersionMax: 1 };
    const peer = peerId('127.0.0.1:21026');
    b.transport.register({ group: 'other', peer, announcement }, other);
    b.transport.register({ group: 'g', peer, announcement }, b.receiver);
    a.transport.send([
      addressed(heartbeat(a.peer, peer, 1)),
      addressed(heartbeat(a.peer, peer, 2), 'other'),
    ]);
    await until(() => b.receiver.messages.length + other.messages.length === 2, 'both arrived');
    expect([rounds(b.receiver), rounds(other)]).toEqual([[1], [2]]);
    // One knock, one connection that stays.
    await until(() => proxy.openConnections === 1, 'the knock is over');
    expect(proxy.connections).toBe(2);
  });

  it.each(REFUSALS)('tells the sender that the receiver refused: %s', async (reason) => {
    const port = 21030 + 2 * REFUSALS.indexOf(reason);
    await using a = await TransportHost.start({ port });
    await using b = await TransportHost.start({ port: port + 1 });
    b.receiver.refusal = reason;
    a.send(heartbeat(a.peer, b.peer));
    await until(() => (a.transport.counts().refusedByPeer ?? 0) > 0, 'the refusal came back');
    expect(a.logger.lines).toContain(`warn a peer refused our messages: ${reason}`);
    expect(b.logger.lines).toContain(`warn refused messages of a peer: ${reason}`);
  });

  it('tells the sender that no such group or peer is here', async () => {
    await using a = await TransportHost.start({ port: 21038 });
    await using b = await TransportHost.start({ port: 21039 });
    a.transport.send([addressed(heartbeat(a.peer, b.peer), 'elsewhere')]);
    a.send(heartbeat(a.peer, peerId('127.0.0.1:21039:5')));
    await until(() => (a.transport.counts().refusedByPeer ?? 0) === 2, 'both refusals came back');
    expect(a.logger.lines).toContain('warn a peer refused our messages: unknownGroup');
  });

  it('logs a refusal that repeats only once, and counts each', async () => {
    await using a = await TransportHost.start({ port: 21040 });
    await using b = await TransportHost.start({ port: 21041 });
    b.receiver.refusal = 'lineageMismatch';
    await beatUntil(a, b.peer, () => (a.transport.counts().refusedByPeer ?? 0) >= 20);
    const lines = a.logger.lines.filter((line) => line.includes('refused our messages'));
    expect(lines).toHaveLength(1);
  });
});

describe('GrpcTransport when the network fails', () => {
  it('reports a peer that is not there, and reaches it once it starts', async () => {
    await using a = await TransportHost.start({ port: 21050 });
    const peer = peerId('127.0.0.1:21051');
    a.send(heartbeat(a.peer, peer));
    await until(() => a.receiver.unreachablePeers.length > 0, 'unreachable was reported');
    expect(a.receiver.unreachablePeers[0]).toBe(peer);
    await using b = await TransportHost.start({ port: 21051 });
    await beatUntil(a, peer, () => b.receiver.messages.length > 0);
  });

  it('delivers a vote that had to wait for the connection', async () => {
    await using a = await TransportHost.start({ port: 21052 });
    const peer = peerId('127.0.0.1:21053');
    a.send(heartbeat(a.peer, peer, 1));
    await until(() => a.receiver.unreachablePeers.length > 0, 'unreachable was reported');
    // Within the pause before the next attempt.
    a.send(heartbeat(a.peer, peer, 42));
    await using b = await TransportHost.start({ port: 21053 });
    await until(() => rounds(b.receiver).includes(42), 'it arrived without being repeated');
  });

  it('reconnects after the peer was killed and restarted', async () => {
    await using a = await TransportHost.start({ port: 21054 });
    const first = await TransportHost.start({ port: 21055 });
    await beatUntil(a, first.peer, () => first.receiver.messages.length > 0);
    await first.kill();
    await until(() => a.receiver.unreachablePeers.includes(first.peer), 'the break was reported');
    await using second = await TransportHost.start({ port: 21055 });
    await beatUntil(a, second.peer, () => second.receiver.messages.length > 0);
  });

  it('reconnects after resets, cuts and half-open connections, without leaking any', async () => {
    await using a = await TransportHost.start({ port: 21056, limits: { silenceMaxMs: 200 } });
    const peer = peerId('127.0.0.1:21058');
    await using b = await TransportHost.start({ port: 21057, peer });
    await using proxy = await TcpProxy.listen(21058, () => 21057);
    const faults: (() => void)[] = [
      () => {
        proxy.reset();
      },
      () => {
        proxy.cut();
      },
      () => {
        proxy.block('toTarget', 'toClient');
      },
      () => {
        proxy.block('toClient');
      },
      () => {
        proxy.block('toTarget');
      },
    ];
    const arrives = async (): Promise<void> => {
      const before = b.receiver.messages.length;
      await beatUntil(a, peer, () => b.receiver.messages.length > before);
    };
    await arrives();
    for (const fault of faults) {
      a.receiver.unreachablePeers.length = 0;
      fault();
      await beatUntil(a, peer, () => a.receiver.unreachablePeers.length > 0);
      proxy.restore();
      await arrives();
    }
    await until(() => proxy.openConnections === 1, 'only one connection is left');
  });

  it('gives up an attempt that is accepted and then met with silence', async () => {
    await using a = await TransportHost.start({ port: 21060, limits: { connectTimeoutMs: 100 } });
    const peer = peerId('127.0.0.1:21062');
    await using b = await TransportHost.start({ port: 21061, peer });
    await using proxy = await TcpProxy.listen(21062, () => 21061);
    proxy.block('toTarget', 'toClient');
    await beatUntil(a, peer, () => a.receiver.unreachablePeers.length >= 2);
    expect(a.logger.lines.join()).toContain('no connection within 100 ms');
    proxy.restore();
    await beatUntil(a, peer, () => b.receiver.messages.length > 0);
  });

  it('keeps a connection on which only the transport answers', async () => {
    const limits = { silenceMaxMs: 300, echoAfterMs: 50 };
    await using a = await TransportHost.start({ port: 21063, limits });
    await using b = await TransportHost.start({ port: 21064, limits });
    // The node takes everything and says nothing.
    const enough = (): boolean => b.receiver.messages.length >= 200;
    await beatUntil(a, b.peer, enough);
    expect(a.receiver.unreachablePeers).toEqual([]);
  });

  it('drops appends above the bound, reports the peer and still delivers a heartbeat', async () => {
    const limits = { bufferedBytesMax: 300_000, frameBytesMax: 50_000 };
    await using a = await TransportHost.start({ port: 21065, limits });
    const peer = peerId('127.0.0.1:21067');
    await using b = await TransportHost.start({ port: 21066, peer });
    await using proxy = await TcpProxy.listen(21067, () => 21066);
    await beatUntil(a, peer, () => b.receiver.messages.length > 0);
    proxy.delay(100);
    const appends = Array.from({ length: 40 }, (_, at) => append(a.peer, peer, at + 1, 20_000));
    a.send(...appends, heartbeat(a.peer, peer, 77_777));
    await until(() => a.receiver.unreachablePeers.includes(peer), 'the overload was reported');
    expect(a.transport.counts().appendsDropped).toBeGreaterThan(20);
    await until(() => rounds(b.receiver).includes(77_777), 'the heartbeat arrived');
    // It overtook the appends that did not fit the first frame.
    const kinds = b.receiver.messages.map(({ message }) => message.type);
    const at = b.receiver.messages.findIndex(
      ({ message }) => message.type === 'heartbeatRequest' && message.round === 77_777,
    );
    const first = kinds.slice(0, at).filter((kind) => kind === 'appendRequest');
    expect(first.length).toBeLessThanOrEqual(2);
  });

  it('resolves host names', async () => {
    await using a = await TransportHost.start({ port: 21068 });
    const peer = peerId('localhost:21069');
    await using b = await TransportHost.start({ port: 21069, peer });
    await beatUntil(a, peer, () => b.receiver.messages.length > 0);
    const nowhere = peerId('no-such-host.invalid:21069');
    await beatUntil(a, nowhere, () => a.receiver.unreachablePeers.includes(nowhere));
  });

  it('closes with sockets, timers and attempts under way', async () => {
    const logger = new RecordingLogger();
    const transport = new GrpcTransport({ clock: systemClock, logger });
    const receiver = new RecordingReceiver();
    const peer = peerId('127.0.0.1:21070');
    const announcement = { incarnation: 'x' as never, formatVersionMin: 1, formatVersionMax: 1 };
    transport.register({ group: 'g', peer, announcement }, receiver);
    for (const target of ['127.0.0.1:21071', '10.255.255.1:21071', 'no-such-host.invalid:1']) {
      transport.send([addressed(heartbeat(peer, peerId(target)))]);
    }
    await until(() => receiver.unreachablePeers.length > 0, 'one attempt failed');
    await transport.close();
    const reported = receiver.unreachablePeers.length;
    transport.send([addressed(heartbeat(peer, peerId('127.0.0.1:21071')))]);
    const before = systemClock.now();
    await until(() => systemClock.now() > MonotonicMs(before + 300), 'any timer left had its time');
    expect(receiver.unreachablePeers).toHaveLength(reported);
  });
});

describe('a stranger on the peer port', () => {
  it('is refused without a greeting', async () => {
    await using host = await TransportHost.start({ port: 21080 });
    const { call, failure, close } = rawStream(21080);
    const from = peerId('127.0.0.1:1');
    const messages = [addressed(heartbeat(from, host.peer))];
    call.write(new FrameEncoder().encode({ messages }));
    expect((await failure).details).toBe('a stream must begin with a greeting');
    expect(host.receiver.messages).toEqual([]);
    close();
  });

  it('is ended when it never greets', async () => {
    await using host = await TransportHost.start({
      port: 21081,
      limits: { greetingTimeoutMs: 30 },
    });
    const { failure, close } = rawStream(21081);
    expect((await failure).details).toBe('no greeting came');
    expect(host.receiver.messages).toEqual([]);
    close();
  });

  it('sends garbage and answers, which are dropped and counted while the stream goes on', async () => {
    await using host = await TransportHost.start({ port: 21082 });
    const { call, close } = rawStream(21082);
    const from = peerId('127.0.0.1:1');
    const encoder = new FrameEncoder();
    call.write(encoder.encode({ hello: { formatVersionMin: 1, formatVersionMax: 1, nodes: [] } }));
    call.write(Buffer.from('\x0a\xff\xff\xff\xff\x0f hostile', 'latin1'));
    call.write(encoder.encode({ messages: [addressed(heartbeatAnswer(from, host.peer))] }));
    call.write(encoder.encode({ messages: [addressed(heartbeat(from, host.peer, 5))] }));
    await until(() => rounds(host.receiver).includes(5), 'the good message arrived');
    expect(rounds(host.receiver)).toEqual([5]);
    expect(host.transport.counts().malformed).toBe(2);
    close();
  });

  it('opens more streams than allowed and is refused', async () => {
    await using host = await TransportHost.start({ port: 21083, limits: { streamsMax: 2 } });
    const streams = [rawStream(21083), rawStream(21083)];
    const hello = { formatVersionMin: 1, formatVersionMax: 1, nodes: [] };
    for (const { call } of streams) call.write(new FrameEncoder().encode({ hello }));
    await until(() => (host.transport.counts().framesReceived ?? 0) === 2, 'two are served');
    const third = rawStream(21083);
    expect((await third.failure).details).toBe('too many peer streams');
    for (const { close } of [...streams, third]) close();
  });
});

describe('GrpcTransport with a secret', () => {
  const secret = (own: string, ...others: readonly string[]): SharedSecret => ({
    current: () => own,
    accepts: (given) => [own, ...others].includes(given),
  });

  it('talks to servers that show it, also while it is exchanged', async () => {
    await using a = await TransportHost.start({ port: 21090, secret: secret('new', 'old') });
    await using b = await TransportHost.start({ port: 21091, secret: secret('old', 'new') });
    await beatUntil(a, b.peer, () => b.receiver.messages.length > 0);
    await beatUntil(b, a.peer, () => a.receiver.messages.length > 0);
  });

  it.each([
    ['none', undefined],
    ['another one', secret('other')],
  ])('takes nothing from a server with %s, which logs it once', async (_name, theirs) => {
    // Each line may be repeated after some seconds: here they pass within milliseconds.
    const clock = { ...systemClock, now: () => MonotonicMs(1_000 * performance.now()) };
    await using a = await TransportHost.start({
      ...{ port: 21092, clock },
      ...(theirs !== undefined && { secret: theirs }),
    });
    await using b = await TransportHost.start({ port: 21093, secret: secret('right') });
    await beatUntil(a, b.peer, () => (a.transport.counts().disconnected ?? 0) > 4);
    expect(b.receiver.messages).toEqual([]);
    expect(b.receiver.announcements).toEqual([]);
    expect(a.logger.lines).toEqual([
      expect.stringMatching(/^warn no connection to a server: .*PERMISSION_DENIED.*its secret/),
    ]);
    expect(b.logger.lines).toEqual(['warn refused a server: it does not know our secret']);
  });

  it('offers no files to who does not show it', async () => {
    await using b = await TransportHost.start({ port: 21094, secret: secret('right') });
    await using a = await TransportHost.start({ port: 21095 });
    const from = { group: 'g', local: a.peer, peer: b.peer, copyId: 'c' };
    const copy = a.transport.openCopy(from);
    const { signal } = new AbortController();
    await expect(copy.list(signal)).rejects.toMatchObject({ code: 'EACCES' });
    const read = copy.read('file', 0, { bytesMax: 10, signal });
    await expect(read).rejects.toMatchObject({ code: 'EACCES' });
    copy.close();
    await using c = await TransportHost.start({ port: 21096, secret: secret('right') });
    const shown = c.transport.openCopy({ ...from, local: c.peer });
    await expect(shown.list(signal)).rejects.toMatchObject({ code: 'ENOENT' });
    shown.close();
  });

  it('finds a server where it speaks from while its name does not lead there', async () => {
    const peer = peerId('moved.invalid:21098');
    await using a = await TransportHost.start({ port: 21097, secret: secret('right') });
    await using b = await TransportHost.start({ port: 21098, peer, secret: secret('right') });
    await beatUntil(a, b.peer, () => (a.transport.counts().disconnected ?? 0) > 0);
    expect(b.receiver.messages).toEqual([]);
    await beatUntil(b, a.peer, () => a.receiver.messages.length > 0);
    await beatUntil(a, b.peer, () => b.receiver.messages.length > 0);
  });

  it('believes no server about its place that it shares no secret with', async () => {
    const peer = peerId('moved.invalid:21100');
    await using a = await TransportHost.start({ port: 21099 });
    await using b = await TransportHost.start({ port: 21100, peer });
    await beatUntil(b, a.peer, () => a.receiver.messages.length > 0);
    await beatUntil(a, b.peer, () => (a.transport.counts().disconnected ?? 0) > 2);
    expect(b.receiver.messages).toEqual([]);
  });
});
