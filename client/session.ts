import type { ClientDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type {
  BatchResult,
  OperationBatch,
  SessionRequest,
  SessionResponse,
} from '../proto/gen/atomic/v1/atomic.ts';
import { completeBatch, encodeBatch, type Batch } from './batch.ts';
import { failureOfCall, failureOfDetail, type CallEnd } from './failure.ts';
import type { Failure } from './retry.ts';

export type SessionStream = ClientDuplexStream<SessionRequest, SessionResponse>;

/** Who hears what became of the batches. Each batch sent ends in exactly one of the calls. */
export type SessionListener = {
  /** All operations of the batch were answered. */
  answered: (batch: Batch) => void;
  /** The server refused the batch or lost track of it; the stream goes on. */
  failed: (batch: Batch, failure: Failure) => void;
  /** The stream ended with these batches unanswered. Nothing follows. */
  broken: (batches: readonly Batch[], failure: Failure) => void;
  /** There is room again after `room()` was 0. */
  writable: () => void;
};

/** Servers refuse a message of more batches; callers of big batches never come near. */
const MESSAGE_BATCHES_MAX = 16_384;

/** Batches are numbered within uint32 and start over. */
const NUMBER_LIMIT = 2 ** 32;

const PROTOCOL_FAILURE: Failure = {
  outcome: 'unknown',
  status: status.INTERNAL,
  message: 'the server answered with columns that do not fit the request',
  reason: '',
};

/**
 * One Session stream to one server: numbers batches, keeps those that are unanswered and matches
 * the answers. At most `operationsMax` operations are in flight; callers ask `room()` first.
 */
export class Session {
  readonly #stream: SessionStream;
  readonly #listener: SessionListener;
  readonly #operationsMax: number;
  readonly #inFlight = new Map<number, Batch>();
  #operationsInFlight = 0;
  #nextNumber = 1;
  #blocked = false;
  #state: 'open' | 'retired' | 'ended' = 'open';

  constructor(
    stream: SessionStream,
    options: { listener: SessionListener; operationsMax: number },
  ) {
    this.#stream = stream;
    this.#listener = options.listener;
    this.#operationsMax = options.operationsMax;
    stream.on('data', (response: SessionResponse) => {
      this.#receive(response);
    });
    stream.on('drain', () => {
      this.#blocked = false;
      if (this.#state === 'open') this.#listener.writable();
    });
    stream.on('error', (error: CallEnd & Error) => {
      this.#end(failureOfCall(error));
    });
    stream.on('status', (end: CallEnd) => {
      this.#end(failureOfCall(end));
    });
  }

  /** How many more operations may be sent now. */
  room(): number {
    if (this.#state !== 'open' || this.#blocked) return 0;
    return this.#operationsMax - this.#operationsInFlight;
  }

  /** How long the oldest unanswered batch has waited; 0 if nothing is in flight. */
  oldestWaitMs(now: number): number {
    const [oldest] = this.#inFlight.values();
    return oldest === undefined ? 0 : now - oldest.sentAt;
  }

  /** Whether every caller of the oldest unanswered batch has stopped waiting. */
  oldestIsForgotten(): boolean {
    const [oldest] = this.#inFlight.values();
    return oldest?.operations.every(({ settled }) => settled) ?? false;
  }

  /** Batches that are unanswered, in the order in which they were sent. */
  unanswered(): Iterable<Batch> {
    return this.#inFlight.values();
  }

  /** Sends the batches, in one message unless they are very many. */
  send(batches: readonly Batch[], now: number, lowestUnanswered: number): void {
    const encoded: OperationBatch[] = [];
    for (const batch of batches) {
      const number = this.#nextNumber;
      this.#nextNumber = number + 1 === NUMBER_LIMIT ? 1 : number + 1;
      batch.sentAt = now;
      for (const operation of batch.operations) operation.sent = true;
      this.#inFlight.set(number, batch);
      this.#operationsInFlight += batch.operations.length;
      encoded.push(encodeBatch(batch, { number, lowestUnanswered, now }));
    }
    for (let from = 0; from < encoded.length; from += MESSAGE_BATCHES_MAX) {
      const message = { batches: encoded.slice(from, from + MESSAGE_BATCHES_MAX) };
      if (!this.#stream.write(message)) this.#blocked = true;
    }
  }

  /** Sends nothing more; ends the stream once everything in flight is answered. */
  retire(): void {
    if (this.#state !== 'open') return;
    this.#state = 'retired';
    if (this.#inFlight.size === 0) this.#stream.end();
  }

  /** Ends the stream now: what is in flight is reported as broken. */
  abandon(reason: string): void {
    if (this.#state === 'ended') return;
    this.#stream.cancel();
    this.#end({
      outcome: 'unknown',
      status: status.CANCELLED,
      message: reason,
      reason: '',
      connectionLost: true,
    });
  }

  #receive(response: SessionResponse): void {
    if (this.#state === 'ended') return;
    const wasFull = this.room() <= 0;
    for (const result of response.results) this.#settle(result);
    if (this.#state === 'retired' && this.#inFlight.size === 0) this.#stream.end();
    if (wasFull && this.room() > 0) this.#listener.writable();
  }

  #settle(result: BatchResult): void {
    const batch = this.#inFlight.get(result.number);
    // A number that is not in flight can only be a repeated answer: nothing waits for it.
    if (batch === undefined) return;
    this.#inFlight.delete(result.number);
    this.#operationsInFlight -= batch.operations.length;
    if (result.failure !== undefined) {
      this.#listener.failed(batch, failureOfDetail(result.failure));
    } else if (completeBatch(batch, result)) {
      this.#listener.answered(batch);
    } else {
      this.#listener.failed(batch, PROTOCOL_FAILURE);
    }
  }

  #end(failure: Failure): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    const unanswered = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#operationsInFlight = 0;
    this.#listener.broken(unanswered, failure);
  }
}
