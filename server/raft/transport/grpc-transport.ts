import { status } from '@grpc/grpc-js';
import type { PeerId } from '../core/ids.ts';
import { peerAddress } from '../core/peer-id.ts';
import type { Clock } from '../node/clock.ts';
import type { Logger } from '../node/logger.ts';
import { Dialer } from './dialer.ts';
import { IncomingStream } from './incoming-stream.ts';
import type { ExchangeCall } from './incoming-stream.ts';
import { OutgoingLink } from './outgoing-link.ts';
import { PairMap } from './pair-map.ts';
import type { Pair } from './pair-map.ts';
import type { TransportContext } from './peer-connection.ts';
import { Registry } from './registry.ts';
import { missingSecret, type SharedSecret } from './shared-secret.ts';
import { GrpcSnapshotCopyClient } from './snapshot-copy-client.ts';
import { TrafficLog } from './traffic-log.ts';
import type { TrafficEvent } from './traffic-log.ts';
import { DEFAULT_TRANSPORT_LIMITS } from './transport-limits.ts';
import type { TransportLimits } from './transport-limits.ts';
import type {
  AddressedMessage,
  PeerAnnouncement,
  ReceiveRefusal,
  Receiver,
  SnapshotCopyClient,
  SnapshotCopySource,
  Transport,
} from './transport.ts';
import type { ReceivedBatch, ReceivedFrame, RefusedNotice } from './wire-frame.ts';
import { isResponse } from './wire.ts';

/** Answers find their way back by who asked whom; strangers choose their name, so it is bounded. */
const RETURN_PATHS_MAX = 4_096;

export type GrpcTransportOptions = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<TransportLimits>;
  /** Shown to other servers and asked of them; absent: none. */
  readonly secret?: SharedSecret | undefined;
};

/**
 * Messages between servers over gRPC: one outgoing stream for each remote address, shared by all
 * groups; answers go back on the stream of their request. `raftService` (raft-service.ts) brings
 * in the streams of others. Owns its connections; `close` ends them all.
 */
export class GrpcTransport implements Transport, AsyncDisposable {
  readonly #context: TransportContext;
  readonly #links = new Map<string, OutgoingLink>();
  /** The same links by each peer met, to save the cutting of addresses. */
  readonly #linkOf = new Map<PeerId, OutgoingLink>();
  readonly #streams = new Set<IncomingStream>();
  readonly #returnPaths = new PairMap<IncomingStream>();
  readonly #copies = new Set<SnapshotCopyClient>();
  readonly #touched = new Set<OutgoingLink | IncomingStream>();
  #flushPlanned = false;
  #closed = false;

  constructor({ clock, logger, limits, secret }: GrpcTransportOptions) {
    this.#context = {
      clock,
      limits: { ...DEFAULT_TRANSPORT_LIMITS, ...limits },
      dialer: new Dialer(),
      registry: new Registry(() => {
        this.#greetAll();
      }),
      traffic: new TrafficLog(clock, logger),
      secret,
    };
  }

  get limits(): TransportLimits {
    return this.#context.limits;
  }

  get secret(): SharedSecret | undefined {
    return this.#context.secret;
  }

  /** What happened on the wire since start, for metrics. */
  counts(): Readonly<Partial<Record<TrafficEvent, number>>> {
    return this.#context.traffic.counts();
  }

  register(
    local: {
      readonly group: string;
      readonly peer: PeerId;
      readonly announcement: PeerAnnouncement;
    },
    receiver: Receiver,
  ): () => void {
    return this.#context.registry.add({ ...local, receiver });
  }

  send(messages: readonly AddressedMessage[]): void {
    if (this.#closed) return;
    for (const message of messages) {
      const way = isResponse(message.message) ? this.#wayBack(message) : this.#linkTo(message);
      if (way === undefined) {
        this.#context.traffic.count('responsesDropped');
        continue;
      }
      way.push(message);
      this.#touched.add(way);
    }
    this.#planFlush();
  }

  openCopy(from: {
    readonly group: string;
    readonly local: PeerId;
    readonly peer: PeerId;
    readonly copyId: string;
  }): SnapshotCopyClient {
    const { group, peer, copyId } = from;
    const client = new GrpcSnapshotCopyClient({
      group,
      peer,
      copyId,
      timeoutMs: this.#context.limits.copyTimeoutMs,
      clock: this.#context.clock,
      secret: this.#context.secret,
      closed: () => {
        this.#copies.delete(client);
      },
    });
    this.#copies.add(client);
    return client;
  }

  /** Takes in a stream that another server opened. */
  accept(call: ExchangeCall): void {
    const refusal = this.#refusalOf(call);
    if (refusal !== undefined) {
      // A call without an error listener would throw what it is told.
      call.on('error', () => undefined);
      call.emit('error', refusal);
      return;
    }
    const stream: IncomingStream = new IncomingStream(this.#context, call, {
      received: (frame) => this.#receiveRequests(frame, stream),
      ended: () => {
        this.#forget(stream);
      },
    });
    this.#streams.add(stream);
  }

  /** The files that a node here offers under `copyId`. */
  findCopy(offer: {
    readonly group: string;
    readonly peer: PeerId;
    readonly copyId: string;
  }): SnapshotCopySource | undefined {
    return this.#context.registry.receiverOf(offer.group, offer.peer)?.openCopy(offer.copyId);
  }

  /** Ends all connections, sockets and timers; what is queued is dropped. */
  close(): Promise<void> {
    this.#closed = true;
    for (const link of this.#links.values()) link.close();
    for (const stream of [...this.#streams]) stream.close();
    for (const copy of [...this.#copies]) copy.close();
    this.#links.clear();
    this.#linkOf.clear();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refusalOf(call: ExchangeCall): { readonly code: status; readonly details: string } | undefined {
    if (this.#closed) return { code: status.UNAVAILABLE, details: 'the server is stopping' };
    if (this.#streams.size >= this.#context.limits.streamsMax) {
      return { code: status.RESOURCE_EXHAUSTED, details: 'too many peer streams' };
    }
    const missing = missingSecret(this.#context.secret, call.metadata);
    if (missing === undefined) return undefined;
    const host = call.getPeer().replace(/:\d+$/, '');
    this.#context.traffic.warn('denied', 'refused a server', host, 'it does not know our secret');
    return { code: status.PERMISSION_DENIED, details: missing.message };
  }

  #linkTo({ message }: AddressedMessage): OutgoingLink {
    const met = this.#linkOf.get(message.to);
    if (met !== undefined) return met;
    const address = peerAddress(message.to);
    const link = this.#links.get(address) ?? this.#addLink(address, message.to);
    this.#linkOf.set(message.to, link);
    return link;
  }

  #addLink(address: string, peer: PeerId): OutgoingLink {
    if (this.#links.size >= this.#context.limits.linksMax) this.#closeOldestLink();
    const link = new OutgoingLink(this.#context, peer, (frame) => {
      this.#receiveAnswers(frame, address);
    });
    this.#links.set(address, link);
    return link;
  }

  #closeOldestLink(): void {
    const all = [...this.#links].sort(([, a], [, b]) => a.lastUsedAt - b.lastUsedAt);
    const [oldest] = all;
    if (oldest === undefined) return;
    oldest[1].close();
    this.#links.delete(oldest[0]);
    this.#linkOf.clear();
  }

  #wayBack({ group, message }: AddressedMessage): IncomingStream | undefined {
    return this.#returnPaths.get({ group, from: message.to, to: message.from });
  }

  /**
   * Sends at the end of the turn: after the running callback and everything it resolved, but before
   * the loop looks at other sockets. Later would add latency, earlier would split what belongs
   * into one write.
   */
  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    queueMicrotask(() => {
      process.nextTick(() => {
        this.#flush();
      });
    });
  }

  #flush(): void {
    this.#flushPlanned = false;
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const way of touched) way.flush();
  }

  #receiveRequests(frame: ReceivedFrame, stream: IncomingStream): RefusedNotice[] {
    const notices: RefusedNotice[] = [];
    for (const batch of frame.batches) {
      const { group, from, to } = batch.envelope;
      // Known before delivery: a receiver may answer within it.
      if (this.#context.registry.receiverOf(group, to) !== undefined) {
        this.#setReturnPath(batch.envelope, stream);
      }
      const reason = this.#deliver(batch, 'request');
      if (reason === undefined) continue;
      notices.push({ group, peer: to, reason });
      const about = `${group} ${from}`;
      this.#context.traffic.warn('refusedByUs', 'refused messages of a peer', about, reason);
    }
    return notices;
  }

  #receiveAnswers(frame: ReceivedFrame, address: string): void {
    const { traffic } = this.#context;
    for (const { group, peer, reason } of frame.refused) {
      traffic.warn('refusedByPeer', 'a peer refused our messages', `${group} ${peer}`, reason);
    }
    for (const batch of frame.batches) {
      const reason = this.#deliver(batch, 'response');
      if (reason !== undefined) {
        traffic.warn('refusedByUs', 'refused answers of a peer', address, reason);
      }
    }
  }

  /** Hands a batch to its node; the reason of the first refusal, if any. */
  #deliver(
    { envelope, messages }: ReceivedBatch,
    expected: 'request' | 'response',
  ): ReceiveRefusal | undefined {
    const { registry, traffic } = this.#context;
    const receiver = registry.receiverOf(envelope.group, envelope.to);
    if (receiver === undefined) return 'unknownGroup';
    let refusal: ReceiveRefusal | undefined;
    for (const message of messages) {
      if (isResponse(message.message) !== (expected === 'response')) {
        const { type } = message.message;
        traffic.warn('malformed', 'dropped a message sent the wrong way', envelope.from, type);
        continue;
      }
      traffic.count('messagesReceived');
      refusal ??= receiver.receive(message);
    }
    return refusal;
  }

  #setReturnPath(asked: Pair, stream: IncomingStream): void {
    if (this.#returnPaths.get(asked) === stream) return;
    if (this.#returnPaths.size >= RETURN_PATHS_MAX) this.#returnPaths.clear();
    this.#returnPaths.set(asked, stream);
  }

  #forget(stream: IncomingStream): void {
    this.#streams.delete(stream);
    this.#returnPaths.deleteValue(stream);
  }

  #greetAll(): void {
    for (const link of this.#links.values()) link.greet();
    for (const stream of this.#streams) stream.greet();
  }
}
