import { MonotonicMs } from '../core/ids.ts';
import type { PeerId } from '../core/ids.ts';
import { peerAddress } from '../core/peer-id.ts';
import { PairMap } from './pair-map.ts';
import type { Pair } from './pair-map.ts';
import type { LossCause, TransportContext } from './peer-connection.ts';
import { PeerConnection } from './peer-connection.ts';
import { SendQueue } from './send-queue.ts';
import type { AddressedMessage } from './transport.ts';
import type { ReceivedFrame } from './wire-frame.ts';

/**
 * The way to one server: what waits to be sent there, the connection, and when to try again. All
 * nodes of this process share it. Connects on the first message and stays.
 */
export class OutgoingLink {
  readonly #context: TransportContext;
  readonly #peer: PeerId;
  readonly #received: (frame: ReceivedFrame) => void;
  readonly #queue: SendQueue;
  /** Who has sent since unreachable was last reported. */
  readonly #pairs = new PairMap<Pair>();
  /** Whose appends did not fit the buffer in this turn. */
  readonly #dropped = new PairMap<Pair>();
  #connection: PeerConnection | undefined;
  #cancelRetry: (() => void) | undefined;
  #failures = 0;
  #lastLoss: LossCause = 'broken';
  #closed = false;
  #lastUsedAt: MonotonicMs;

  /** `peer`: any peer at the server's address. */
  constructor(context: TransportContext, peer: PeerId, received: (frame: ReceivedFrame) => void) {
    this.#context = context;
    this.#peer = peer;
    this.#received = received;
    this.#queue = new SendQueue(context.limits);
    this.#lastUsedAt = context.clock.now();
  }

  get lastUsedAt(): MonotonicMs {
    return this.#lastUsedAt;
  }

  /** Queues; `flush` at the end of the turn sends. */
  push(addressed: AddressedMessage): void {
    const { from, to } = addressed.message;
    const { group } = addressed;
    const pair = { group, from, to };
    if (this.#pairs.get(pair) === undefined) this.#pairs.set(pair, pair);
    this.#lastUsedAt = this.#context.clock.now();
    if (this.#queue.push(addressed, this.#lastUsedAt)) return;
    this.#dropped.set(pair, pair);
    this.#context.traffic.count('appendsDropped');
  }

  /** Sends what is queued, or starts to connect. */
  flush(): void {
    if (this.#closed) return;
    if (this.#connection === undefined) {
      if (this.#cancelRetry === undefined) this.#connect();
    } else {
      this.#connection.checkSilence();
      this.#pump();
    }
    this.#report(this.#dropped);
  }

  /** Tells the server which nodes are here now. */
  greet(): void {
    this.#connection?.greet();
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#connection?.close();
  }

  #connect(): void {
    const { traffic } = this.#context;
    this.#connection = new PeerConnection(this.#context, this.#peer, {
      opened: () => {
        this.#failures = 0;
        this.#lastLoss = 'broken';
        traffic.info('connected', 'connected to a server', peerAddress(this.#peer));
        this.#pump();
      },
      received: this.#received,
      written: () => {
        this.#pump();
      },
      lost: (reason, cause) => {
        this.#lost(reason, cause);
      },
    });
  }

  #pump(): void {
    if (this.#queue.isEmpty || this.#connection?.isWritable !== true) return;
    this.#connection.send({ messages: this.#queue.takeFrame() });
  }

  #lost(reason: string, cause: LossCause): void {
    const { clock, limits, traffic } = this.#context;
    this.#connection = undefined;
    const address = peerAddress(this.#peer);
    // A wrong secret stays wrong until somebody exchanges it: said once, not with each attempt.
    const known = cause === 'denied' && this.#lastLoss === 'denied';
    if (known) traffic.count('disconnected');
    else traffic.warn('disconnected', 'no connection to a server', address, reason);
    this.#lastLoss = cause;
    this.#queue.dropStale(MonotonicMs(clock.now() - limits.messageLifeMs));
    const delayMs = Math.min(
      limits.reconnectDelayMinMs * 2 ** Math.min(this.#failures, 20),
      limits.reconnectDelayMaxMs,
    );
    this.#failures++;
    this.#cancelRetry = clock.after(delayMs, () => {
      this.#cancelRetry = undefined;
      if (!this.#queue.isEmpty) this.#connect();
    });
    this.#report(this.#pairs);
  }

  #report(pairs: PairMap<Pair>): void {
    if (pairs.size === 0) return;
    const reported = pairs.values();
    pairs.clear();
    for (const { group, from, to } of reported) {
      this.#context.registry.receiverOf(group, from)?.unreachable(to);
    }
  }
}
