import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { peerFields } from '../core/peer-id.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { FrameEncoder } from './frame-encoder.ts';
import type { TransportContext } from './peer-connection.ts';
import { incompatibility } from './registry.ts';
import { SendQueue } from './send-queue.ts';
import type { AddressedMessage } from './transport.ts';
import type { Frame, Hello, ReceivedFrame, RefusedNotice } from './wire-frame.ts';

export type ExchangeCall = ServerDuplexStream<Buffer, Buffer>;

export type StreamEvents = {
  /** Handles what came; the result goes back to the sender. */
  received(frame: ReceivedFrame): readonly RefusedNotice[];
  ended(): void;
};

/** A stream that another server opened: its requests come in, our answers go back. */
export class IncomingStream {
  readonly #context: TransportContext;
  readonly #call: ExchangeCall;
  readonly #events: StreamEvents;
  readonly #encoder = new FrameEncoder();
  readonly #decoder = new FrameDecoder();
  readonly #queue: SendQueue;
  readonly #cancelGreetingTimeout: () => void;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #writing = false;
  #notifying = false;
  #lastWriteAt = 0;

  constructor(context: TransportContext, call: ExchangeCall, events: StreamEvents) {
    this.#context = context;
    this.#call = call;
    this.#events = events;
    this.#queue = new SendQueue(context.limits);
    this.#cancelGreetingTimeout = context.clock.after(context.limits.greetingTimeoutMs, () => {
      this.#refuse(status.DEADLINE_EXCEEDED, 'no greeting came');
    });
    call.on('data', (bytes: Buffer) => {
      this.#receive(bytes);
    });
    const end = (): void => {
      this.close();
    };
    call.on('end', end);
    call.on('cancelled', end);
    call.on('error', end);
    this.greet();
  }

  /** Queues an answer; `flush` at the end of the turn sends. */
  push(addressed: AddressedMessage): void {
    if (!this.#queue.push(addressed, this.#context.clock.now())) {
      this.#context.traffic.count('responsesDropped');
    }
  }

  flush(): void {
    if (this.#state !== 'open' || this.#writing || this.#queue.isEmpty) return;
    this.#writing = true;
    this.#write({ messages: this.#queue.takeFrame() }, () => {
      this.#writing = false;
      this.flush();
    });
  }

  /** Tells the opener which nodes are here now. */
  greet(): void {
    if (this.#state === 'closed') return;
    this.#write({ hello: this.#context.registry.hello() });
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelGreetingTimeout();
    this.#call.end();
    this.#events.ended();
  }

  #receive(bytes: Buffer): void {
    if (this.#state === 'closed') return;
    const { traffic, clock, limits } = this.#context;
    traffic.count('framesReceived');
    traffic.count('bytesReceived', bytes.length);
    const frame = this.#decoder.decode(bytes);
    for (const reason of frame.malformed) {
      const sender = this.#call.getPeer();
      traffic.warn('malformed', 'dropped a message that is not valid', sender, reason);
    }
    if (!this.#greeted(frame)) return;
    const refused = this.#events.received(frame);
    // The opener takes long silence for a broken connection.
    const silent = clock.now() - this.#lastWriteAt > limits.echoAfterMs;
    if (refused.length > 0 || silent) this.#notify(refused);
  }

  /** Says what was refused; not while the opener, who may be flooding us, has not taken the last word. */
  #notify(refused: readonly RefusedNotice[]): void {
    if (this.#notifying) return;
    this.#notifying = true;
    this.#write({ refused }, () => {
      this.#notifying = false;
    });
  }

  /** Takes the greeting, which comes first; false when there is nobody to talk to. */
  #greeted({ hello }: ReceivedFrame): boolean {
    const { registry, traffic } = this.#context;
    if (hello === undefined) {
      if (this.#state === 'open') return true;
      this.#refuse(status.FAILED_PRECONDITION, 'a stream must begin with a greeting');
      return false;
    }
    const reason = incompatibility(registry.hello(), hello);
    if (reason !== undefined) {
      traffic.warn('incompatible', 'refused a server', this.#call.getPeer(), reason);
      this.#refuse(status.FAILED_PRECONDITION, reason);
      return false;
    }
    if (this.#state === 'connecting') {
      this.#state = 'open';
      this.#cancelGreetingTimeout();
    }
    registry.announce(hello);
    this.#noteAddress(hello);
    return true;
  }

  /** Only who knows the secret may say where a peer is: its place could be taken otherwise. */
  #noteAddress({ nodes }: Hello): void {
    const { dialer, secret } = this.#context;
    if (secret === undefined) return;
    const address = this.#call
      .getPeer()
      .replace(/:\d+$/, '')
      .replace(/^\[(.*)\]$/, '$1');
    for (const { peer } of nodes) dialer.heard(peerFields(peer).host, address);
  }

  #refuse(code: status, details: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelGreetingTimeout();
    this.#call.emit('error', { code, details });
    this.#events.ended();
  }

  #write(frame: Frame, written: () => void = () => undefined): void {
    const bytes = this.#encoder.encode(frame);
    const { traffic, clock } = this.#context;
    this.#lastWriteAt = clock.now();
    traffic.count('framesSent');
    traffic.count('bytesSent', bytes.length);
    traffic.count('messagesSent', frame.messages?.length ?? 0);
    this.#call.write(bytes, written);
  }
}
