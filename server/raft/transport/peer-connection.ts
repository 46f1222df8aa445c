import { isIPv6 } from 'node:net';
import { Client, credentials, status } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { PeerId } from '../core/ids.ts';
import { peerAddress, peerFields } from '../core/peer-id.ts';
import type { Clock } from '../node/clock.ts';
import type { Dialer } from './dialer.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { FrameEncoder } from './frame-encoder.ts';
import {
  PEER_MESSAGE_BYTES_MAX,
  peerChannelOptions,
  RAFT_SERVICE,
} from './raft-service-definition.ts';
import { incompatibility } from './registry.ts';
import type { Registry } from './registry.ts';
import { metadataWith, type SharedSecret } from './shared-secret.ts';
import type { TrafficLog } from './traffic-log.ts';
import type { TransportLimits } from './transport-limits.ts';
import type { Frame, ReceivedFrame } from './wire-frame.ts';

/** A stalled loop counts as silence only this long: what it did not read is not the peer's fault. */
const SILENCE_STEP_MAX_MS = 250;

/** What a connection and a stream need from their transport. */
export type TransportContext = {
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly dialer: Dialer;
  readonly registry: Registry;
  readonly traffic: TrafficLog;
  /** Shown to other servers and asked of them; undefined: none. */
  readonly secret: SharedSecret | undefined;
};

/** `denied`: the peer asks for another secret than ours. */
export type LossCause = 'broken' | 'denied';

export type ConnectionEvents = {
  /** The peer greeted: frames may be sent. */
  opened(): void;
  received(frame: ReceivedFrame): void;
  /** The last frame was handed to the network: another may be sent. */
  written(): void;
  /** It broke or was never made; called once, and not after `close`. */
  lost(reason: string, cause: LossCause): void;
};

/** One attempt to connect to a server, and the stream that comes of it. Never reconnects. */
export class PeerConnection {
  readonly #context: TransportContext;
  readonly #address: string;
  readonly #host: string;
  /** Where the peer had been heard from when this attempt began. */
  readonly #heard: string | undefined;
  readonly #events: ConnectionEvents;
  readonly #encoder = new FrameEncoder();
  readonly #decoder = new FrameDecoder();
  readonly #cancelKnock: () => void;
  readonly #cancelTimeout: () => void;
  #client: Client | undefined;
  #call: ClientDuplexStream<Buffer, Buffer> | undefined;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #writing = false;
  #silentMs = 0;
  #lastSentAt: number | undefined;

  constructor(context: TransportContext, peer: PeerId, events: ConnectionEvents) {
    this.#context = context;
    this.#address = peerAddress(peer);
    this.#events = events;
    const { host, port } = peerFields(peer);
    this.#host = host;
    this.#heard = context.dialer.lastHeard(host);
    this.#cancelTimeout = context.clock.after(context.limits.connectTimeoutMs, () => {
      this.#lose(`no connection within ${context.limits.connectTimeoutMs} ms`);
    });
    this.#cancelKnock = context.dialer.knock({
      host,
      port,
      reached: (address) => {
        if (this.#state === 'connecting') this.#openStream(address, port);
      },
      failed: (reason) => {
        this.#lose(reason);
      },
    });
  }

  /** Whether a frame may be sent now: greeted, and the one before is on its way. */
  get isWritable(): boolean {
    return this.#state === 'open' && !this.#writing;
  }

  /** Sends a frame; `written` follows. Only when `isWritable`. */
  send(frame: Frame): void {
    this.#writing = true;
    this.#write(frame, () => {
      this.#writing = false;
      if (this.#state === 'open') this.#events.written();
    });
  }

  /** Tells the peer which nodes are here now. */
  greet(): void {
    if (this.#state !== 'open') return;
    this.#write({ hello: this.#context.registry.hello() }, () => undefined);
  }

  /** Called at the end of each turn with something to send; finds out that nothing comes back. */
  checkSilence(): void {
    if (this.#state !== 'open') return;
    const now = this.#context.clock.now();
    if (this.#lastSentAt !== undefined) {
      this.#silentMs += Math.min(now - this.#lastSentAt, SILENCE_STEP_MAX_MS);
    }
    this.#lastSentAt = now;
    const { silenceMaxMs } = this.#context.limits;
    if (this.#silentMs > silenceMaxMs) this.#lose(`no answer for more than ${silenceMaxMs} ms`);
  }

  close(): void {
    this.#state = 'closed';
    this.#cancelTimeout();
    this.#cancelKnock();
    this.#call?.cancel();
    this.#client?.close();
  }

  #openStream(address: string, port: number): void {
    const target = isIPv6(address) ? `ipv6:[${address}]:${port}` : `ipv4:${address}:${port}`;
    const options = peerChannelOptions(this.#address, PEER_MESSAGE_BYTES_MAX);
    this.#client = new Client(target, credentials.createInsecure(), options);
    const { path, requestSerialize, responseDeserialize } = RAFT_SERVICE.exchange;
    const call = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadataWith(this.#context.secret),
      {},
    );
    this.#call = call;
    call.on('data', (bytes: Buffer) => {
      this.#receive(bytes);
    });
    // The status says why; `end` alone does not.
    call.on('error', (error) => {
      const denied = 'code' in error && error.code === status.PERMISSION_DENIED;
      this.#lose(error.message, denied ? 'denied' : 'broken');
    });
    call.on('status', () => {
      this.#lose('the server ended the stream');
    });
    this.#write({ hello: this.#context.registry.hello() }, () => undefined);
  }

  #write(frame: Frame, written: () => void): void {
    const bytes = this.#encoder.encode(frame);
    const { traffic } = this.#context;
    traffic.count('framesSent');
    traffic.count('bytesSent', bytes.length);
    traffic.count('messagesSent', frame.messages?.length ?? 0);
    this.#call?.write(bytes, written);
  }

  #receive(bytes: Buffer): void {
    if (this.#state === 'closed') return;
    const { traffic } = this.#context;
    traffic.count('framesReceived');
    traffic.count('bytesReceived', bytes.length);
    this.#silentMs = 0;
    this.#lastSentAt = undefined;
    const frame = this.#decoder.decode(bytes);
    for (const reason of frame.malformed) {
      traffic.warn('malformed', 'dropped an answer that is not valid', this.#address, reason);
    }
    if (!this.#greeted(frame)) return;
    this.#events.received(frame);
  }

  /** Takes the greeting, which comes first; false when there is nobody to talk to. */
  #greeted({ hello }: ReceivedFrame): boolean {
    const { registry, traffic } = this.#context;
    if (hello === undefined) {
      if (this.#state === 'open') return true;
      this.#lose('the server did not greet');
      return false;
    }
    const reason = incompatibility(registry.hello(), hello);
    if (reason !== undefined) {
      traffic.warn('incompatible', 'cannot talk to a server', this.#address, reason);
      this.#lose(reason);
      return false;
    }
    if (this.#state === 'connecting') {
      this.#state = 'open';
      this.#cancelTimeout();
      this.#events.opened();
    }
    registry.announce(hello);
    return true;
  }

  /** An attempt that began before the peer spoke from elsewhere says nothing about that place. */
  #forgetAddress(): void {
    this.#context.dialer.forget(this.#host, this.#heard);
  }

  #lose(reason: string, cause: LossCause = 'broken'): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'connecting') this.#forgetAddress();
    this.close();
    this.#events.lost(reason, cause);
  }
}
