import type { PeerId } from '../../server/raft/core/ids.ts';
import type {
  AddressedMessage,
  SnapshotCopyClient,
  Transport,
} from '../../server/raft/transport/transport.ts';
import { FrameDecoder } from '../../server/raft/transport/frame-decoder.ts';
import { FrameEncoder } from '../../server/raft/transport/frame-encoder.ts';
import type { ProcessGate } from './process-gate.ts';
import type { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { check } from './checkers/violation.ts';
import type { Endpoint } from './endpoint.ts';
import { copyClient } from './snapshot-copy.ts';
import type { Trace } from './trace.ts';

/** How badly the network behaves right now, for all links together. */
export type NetworkQuality = {
  readonly latencyMs: number;
  /** Mean of the random part that comes on top. */
  readonly jitterMs: number;
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly reorderChance: number;
};

/** Who looks at every message as it leaves its node. */
export type SendObserver = (from: PeerId, message: AddressedMessage) => void;

type Link = {
  cut: boolean;
  /** Grows when the connection breaks: what was in flight then never arrives. */
  epoch: number;
  lastArrivalMs: number;
  /** The receiving node has seen the handshake of the sending process. */
  announcedBy: Endpoint | undefined;
  noticePending: boolean;
};

/** How long a sender needs to find out that a connection is broken. */
const RESET_NOTICE_MS = 1;
const SILENCE_NOTICE_MS = 300;
const REORDER_SPREAD_MS = 60;

/** The links between all servers, each direction on its own. */
export class SimulatedNetwork {
  quality: NetworkQuality;
  readonly #scheduler: Scheduler;
  readonly #random: SimulationRandom;
  readonly #trace: Trace;
  readonly #onSend: SendObserver;
  readonly #endpoints = new Map<PeerId, Endpoint>();
  readonly #links = new Map<PeerId, Map<PeerId, Link>>();

  constructor(options: {
    readonly scheduler: Scheduler;
    readonly random: SimulationRandom;
    readonly trace: Trace;
    readonly quality: NetworkQuality;
    readonly onSend: SendObserver;
  }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#trace = options.trace;
    this.quality = options.quality;
    this.#onSend = options.onSend;
  }

  /** Puts a new process in the place of whatever ran at `peer` before. */
  attach(peer: PeerId, gate: ProcessGate): Transport {
    const endpoint: Endpoint = {
      peer,
      gate,
      encoder: new FrameEncoder(),
      decoder: new FrameDecoder(),
      announcement: undefined,
      receiver: undefined,
    };
    this.#endpoints.set(peer, endpoint);
    // Nobody has greeted this process yet.
    for (const links of this.#links.values()) {
      const link = links.get(peer);
      if (link !== undefined) link.announcedBy = undefined;
    }
    return {
      register: (local, receiver) => {
        endpoint.receiver = receiver;
        endpoint.announcement = local.announcement;
        return () => {
          endpoint.receiver = undefined;
        };
      },
      send: (messages) => {
        for (const batch of byReceiver(messages)) this.#send(endpoint, batch);
      },
      openCopy: (from) => this.#openCopy(endpoint, from),
    };
  }

  /** Nothing sent from `from` to `to` arrives until it is mended. */
  setCut(from: PeerId, to: PeerId, cut: boolean): void {
    const link = this.#link(from, to);
    if (link.cut === cut) return;
    link.cut = cut;
    link.epoch++;
  }

  /** Mends every link. */
  mendAll(): void {
    for (const links of this.#links.values()) for (const link of links.values()) link.cut = false;
  }

  isCut(from: PeerId, to: PeerId): boolean {
    return this.#link(from, to).cut;
  }

  /** Breaks the connections between two servers; what is in flight is lost, and both notice. */
  reset(a: PeerId, b: PeerId): void {
    this.#link(a, b).epoch++;
    this.#link(b, a).epoch++;
    this.#notice(a, b, RESET_NOTICE_MS);
    this.#notice(b, a, RESET_NOTICE_MS);
  }

  /** A process died: its connections break. */
  detach(peer: PeerId): void {
    for (const other of this.#endpoints.keys()) {
      if (other === peer) continue;
      this.#link(peer, other).epoch++;
      this.#link(other, peer).epoch++;
      if (!this.#link(peer, other).cut) this.#notice(other, peer, RESET_NOTICE_MS);
    }
  }

  /** The present latency of a link: fixed part and chance. */
  delayMs(): number {
    return this.quality.latencyMs + this.#random.exponential(this.quality.jitterMs);
  }

  /**
   * Carries `deliver` from one server to another; `false` when it will certainly not arrive.
   */
  carry(from: PeerId, to: PeerId, deliver: (target: Endpoint) => void): boolean {
    const link = this.#link(from, to);
    const target = this.#endpoints.get(to);
    if (target === undefined || link.cut || !target.gate.isAlive()) return false;
    if (this.#random.chance(this.quality.lossChance)) return false;
    const epoch = link.epoch;
    this.#scheduler.after(this.#arrivalMs(link) - this.#scheduler.now(), () => {
      if (link.cut || link.epoch !== epoch) return;
      target.gate.enter('input', () => {
        deliver(target);
      });
    });
    return true;
  }

  #arrivalMs(link: Link): number {
    const arrival = this.#scheduler.now() + this.delayMs();
    if (this.#random.chance(this.quality.reorderChance)) {
      return arrival + this.#random.between(0, REORDER_SPREAD_MS);
    }
    link.lastArrivalMs = Math.max(arrival, link.lastArrivalMs + 0.001);
    return link.lastArrivalMs;
  }

  #send(sender: Endpoint, messages: readonly AddressedMessage[]): void {
    const to = messages[0]?.message.to;
    if (to === undefined || !sender.gate.isAlive()) return;
    for (const message of messages) this.#onSend(sender.peer, message);
    const bytes = sender.encoder.encode({ messages });
    this.#trace.mixBytes(bytes);
    const copies = this.#random.chance(this.quality.duplicateChance) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const sent = this.carry(sender.peer, to, (target) => {
        this.#deliver(sender, target, bytes);
      });
      if (!sent) this.#noticeLoss(sender.peer, to);
    }
  }

  #deliver(sender: Endpoint, target: Endpoint, bytes: Uint8Array): void {
    if (target.receiver === undefined) return;
    this.#handshake(sender, target);
    this.#handshake(target, sender);
    const { batches, malformed } = target.decoder.decode(bytes);
    check(malformed.length === 0, 'codec', () => `${sender.peer} sent: ${malformed.join('; ')}`);
    for (const { messages } of batches) {
      for (const message of messages) this.#receive(target, message);
    }
  }

  #receive(target: Endpoint, message: AddressedMessage): void {
    const refusal = target.receiver?.receive(message);
    this.#trace.event(
      () =>
        `${message.message.from} > ${target.peer} ${describeMessage(message)}` +
        (refusal === undefined ? '' : ` REFUSED ${refusal}`),
    );
  }

  #handshake(speaker: Endpoint, listener: Endpoint): void {
    const link = this.#link(speaker.peer, listener.peer);
    const { announcement } = speaker;
    if (link.announcedBy === speaker || announcement === undefined) return;
    link.announcedBy = speaker;
    listener.gate.enter('input', () => {
      listener.receiver?.announced(speaker.peer, announcement);
    });
  }

  #noticeLoss(from: PeerId, to: PeerId): void {
    const silent = this.#link(from, to).cut;
    this.#notice(from, to, silent ? SILENCE_NOTICE_MS : RESET_NOTICE_MS);
  }

  #notice(to: PeerId, about: PeerId, delayMs: number): void {
    const link = this.#link(to, about);
    if (link.noticePending) return;
    link.noticePending = true;
    this.#scheduler.after(delayMs, () => {
      link.noticePending = false;
      const endpoint = this.#endpoints.get(to);
      endpoint?.gate.enter('input', () => {
        endpoint.receiver?.unreachable(about);
      });
    });
  }

  #openCopy(
    sender: Endpoint,
    from: { readonly peer: PeerId; readonly copyId: string },
  ): SnapshotCopyClient {
    return copyClient({
      scheduler: this.#scheduler,
      requester: sender,
      source: from.peer,
      copyId: from.copyId,
      carry: (one, other, deliver) => this.carry(one, other, deliver),
    });
  }

  #link(from: PeerId, to: PeerId): Link {
    let links = this.#links.get(from);
    if (links === undefined) {
      links = new Map();
      this.#links.set(from, links);
    }
    let link = links.get(to);
    if (link === undefined) {
      link = {
        cut: false,
        epoch: 0,
        lastArrivalMs: 0,
        announcedBy: undefined,
        noticePending: false,
      };
      links.set(to, link);
    }
    return link;
  }
}

/** Messages to one receiver share a frame, in order. */
function byReceiver(messages: readonly AddressedMessage[]): Iterable<readonly AddressedMessage[]> {
  const [first] = messages;
  if (messages.every(({ message }) => message.to === first?.message.to)) return [messages];
  const groups = new Map<PeerId, AddressedMessage[]>();
  for (const message of messages) {
    const { to } = message.message;
    const group = groups.get(to);
    if (group === undefined) groups.set(to, [message]);
    else group.push(message);
  }
  return groups.values();
}

/** One line about a message, for readable traces. */
function describeMessage({ message }: AddressedMessage): string {
  const text = JSON.stringify(message, (key, value: unknown) => {
    if (ENVELOPE_FIELDS.has(key)) return undefined;
    if (key === 'entries' && Array.isArray(value)) return `${value.length} entries`;
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    return value;
  });
  return text;
}

const ENVELOPE_FIELDS: ReadonlySet<string> = new Set([
  'from',
  'to',
  'fromIncarnation',
  'toIncarnation',
]);
