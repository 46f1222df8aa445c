import type { Server } from '@grpc/grpc-js';
import { Incarnation, Lineage, LogIndex, Term } from '../../server/raft/core/ids.ts';
import type { PeerId } from '../../server/raft/core/ids.ts';
import type { Message } from '../../server/raft/core/message.ts';
import { parsePeerId } from '../../server/raft/core/peer-id.ts';
import { systemClock, type Clock } from '../../server/raft/node/clock.ts';
import type { Logger } from '../../server/raft/node/logger.ts';
import {
  bindGrpcServer,
  closeGrpcServer,
  createGrpcServer,
} from '../../server/raft/transport/grpc-server.ts';
import { GrpcTransport } from '../../server/raft/transport/grpc-transport.ts';
import { RAFT_SERVICE } from '../../server/raft/transport/raft-service-definition.ts';
import { raftService } from '../../server/raft/transport/raft-service.ts';
import type { SharedSecret } from '../../server/raft/transport/shared-secret.ts';
import type { TransportLimits } from '../../server/raft/transport/transport-limits.ts';
import type {
  AddressedMessage,
  PeerAnnouncement,
  ReceiveRefusal,
  Receiver,
  SnapshotCopySource,
} from '../../server/raft/transport/transport.ts';

const HANG_GUARD_MS = 20_000;

/** The canonical form of a peer id that is known to be one. */
export function peerId(text: string): PeerId {
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.peer;
}

/** Waits until `condition` holds; fails after a long time that no working program needs. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpAt = performance.now() + HANG_GUARD_MS;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A node that writes down what a transport tells it. */
export class RecordingReceiver implements Receiver {
  readonly messages: AddressedMessage[] = [];
  readonly unreachablePeers: PeerId[] = [];
  readonly announcements: { readonly peer: PeerId; readonly announcement: PeerAnnouncement }[] = [];
  readonly copies = new Map<string, SnapshotCopySource>();
  /** Refuses everything with this while set. */
  refusal: ReceiveRefusal | undefined;
  /** Called with each message taken. */
  onMessage: (message: AddressedMessage) => void = () => undefined;

  receive(message: AddressedMessage): ReceiveRefusal | undefined {
    if (this.refusal !== undefined) return this.refusal;
    this.messages.push(message);
    this.onMessage(message);
    return undefined;
  }

  unreachable(peer: PeerId): void {
    this.unreachablePeers.push(peer);
  }

  announced(peer: PeerId, announcement: PeerAnnouncement): void {
    this.announcements.push({ peer, announcement });
  }

  openCopy(copyId: string): SnapshotCopySource | undefined {
    return this.copies.get(copyId);
  }
}

/** Collects log lines as `level message reason`. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = [];

  debug(): void {
    // Nothing of interest at this level.
  }

  info(message: string): void {
    this.lines.push(`info ${message}`);
  }

  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push(`warn ${message}: ${String(fields['reason'])}`);
  }

  error(message: string): void {
    this.lines.push(`error ${message}`);
  }
}

type HostOptions = {
  /** Where the server listens; the peer id unless told otherwise (a proxy in between). */
  readonly port: number;
  readonly peer?: PeerId;
  readonly limits?: Partial<TransportLimits>;
  readonly formatVersions?: readonly [number, number];
  readonly secret?: SharedSecret;
  readonly clock?: Clock;
};

/** One process's transport with a real server and one recording node of group `g`. */
export class TransportHost implements AsyncDisposable {
  readonly peer: PeerId;
  readonly receiver = new RecordingReceiver();
  readonly logger = new RecordingLogger();
  readonly transport: GrpcTransport;
  readonly #server: Server;

  private constructor(options: HostOptions) {
    const { port, limits = {}, formatVersions = [1, 1], secret, clock = systemClock } = options;
    this.peer = options.peer ?? peerId(`127.0.0.1:${port}`);
    this.transport = new GrpcTransport({ clock, logger: this.logger, limits, secret });
    this.#server = createGrpcServer();
    this.#server.addService(RAFT_SERVICE, raftService(this.transport));
    const [formatVersionMin, formatVersionMax] = formatVersions;
    const incarnation = Incarnation(`disk-${port}`);
    const announcement = { incarnation, formatVersionMin, formatVersionMax };
    this.transport.register({ group: 'g', peer: this.peer, announcement }, this.receiver);
  }

  static async start(options: HostOptions): Promise<TransportHost> {
    const host = new TransportHost(options);
    await bindGrpcServer(host.#server, `127.0.0.1:${options.port}`);
    return host;
  }

  send(...messages: readonly Message[]): void {
    this.transport.send(messages.map((message) => addressed(message)));
  }

  /** Stops as a killed process would: nothing is drained. */
  async kill(): Promise<void> {
    this.#server.forceShutdown();
    await this.transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport.close();
    await closeGrpcServer(this.#server, { graceMs: 2_000, clock: systemClock });
  }
}

export function addressed(message: Message, group = 'g'): AddressedMessage {
  return { group, clusterId: 'c', lineage: Lineage('l1'), message };
}

function endsOf(from: PeerId, to: PeerId) {
  const fromIncarnation = Incarnation(`disk of ${from}`);
  return { term: Term(3), from, fromIncarnation, to, toIncarnation: undefined };
}

export function heartbeat(from: PeerId, to: PeerId, round = 1): Message {
  const fields = { commitIndex: LogIndex(0), round, transferId: 0 };
  return { type: 'heartbeatRequest', ...endsOf(from, to), ...fields };
}

export function heartbeatAnswer(from: PeerId, to: PeerId, round = 1): Message {
  const fields = { round, transferId: 0, readonly: false, installing: false };
  return { type: 'heartbeatResponse', ...endsOf(from, to), ...fields };
}

/** An append with one DATA entry of `bytes` bytes. */
export function append(from: PeerId, to: PeerId, index: number, bytes: number): Message {
  const id = { term: Term(3), index: LogIndex(index) };
  return {
    type: 'appendRequest',
    ...endsOf(from, to),
    previous: { term: Term(3), index: LogIndex(index - 1) },
    commitIndex: LogIndex(0),
    entries: [{ kind: 'data', id, data: new Uint8Array(bytes).fill(index) }],
  };
}
