import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  Consistency,
  type BatchResult,
  type OperationBatch,
  type SessionRequest,
  type SessionResponse,
} from '../../proto/gen/atomic/v1/atomic.ts';
import { allGets } from './service-admission.ts';
import type { AtomicServiceCore } from './service-core.ts';
import { STOPPING, detailOf, grpcErrorOf, invalid, type Failure } from './service-failure.ts';
import type { ReadConsistency } from './service-reads.ts';
import { MESSAGE_BATCHES_MAX } from './session-request.ts';

export type SessionCall = ServerDuplexStream<SessionRequest, SessionResponse>;

const NO_BYTES = new Uint8Array(0);

/**
 * One client's stream of batches. Results that come in one turn of the event loop leave in one
 * message, in any order. What is not yet answered is bounded by admission; while the client does
 * not take its answers, no more requests are read.
 */
export class SessionStream {
  readonly #call: SessionCall;
  readonly #core: AtomicServiceCore;
  #results: BatchResult[] = [];
  #waiting = 0;
  /** The client sends nothing more, or the server takes nothing more. */
  #ended: 'no' | 'byClient' | 'byServer' = 'no';
  #gone = false;

  constructor(call: SessionCall, core: AtomicServiceCore) {
    this.#call = call;
    this.#core = core;
    call.on('data', ({ batches }: SessionRequest) => {
      if (batches.length > MESSAGE_BATCHES_MAX) {
        this.#refuse();
        return;
      }
      const refusal = core.refuseMessage(batches.reduce((sum, batch) => sum + bytesOf(batch), 0));
      for (const batch of batches) this.#take(batch, refusal);
    });
    call.on('end', () => {
      if (this.#ended === 'no') this.#ended = 'byClient';
      this.#endWhenDone();
    });
    const forget = core.onClose(() => {
      this.#ended = 'byServer';
      this.#endWhenDone();
    });
    call.on('drain', () => {
      call.resume();
    });
    for (const event of ['cancelled', 'error', 'close'] as const) {
      call.on(event, () => {
        this.#gone = true;
        forget();
      });
    }
  }

  /** Ends the stream over a message that was not even read. */
  #refuse(): void {
    if (this.#gone) return;
    this.#gone = true;
    const text = `a message of more than ${MESSAGE_BATCHES_MAX} batches: send several messages`;
    // The error is about all that is unanswered, of which some may have been proposed.
    const outcome = this.#waiting > 0 ? 'unknown' : 'notProposed';
    this.#call.emit('error', grpcErrorOf({ ...invalid(text), outcome }));
  }

  #take(batch: OperationBatch, refusal: Failure | undefined): void {
    this.#waiting++;
    const { number, kinds } = batch;
    if (refusal !== undefined) {
      this.#fail(number, refusal);
      return;
    }
    const deadline = this.#core.deadlineAfter(batch.timeoutMs);
    const answered = ({ statuses, oldValues }: { statuses: Uint8Array; oldValues: Uint8Array }) => {
      this.#finish({ number, statuses, oldValues });
    };
    const failed = (failure: Failure) => {
      this.#fail(number, failure);
    };
    if (kinds.length > 0 && allGets(kinds)) {
      if (batch.ids.length !== kinds.length * 8) {
        failed(invalid('ids: expected 8 bytes for each kind'));
        return;
      }
      const consistency = consistencyOf(batch.consistency);
      this.#core.read({ ids: batch.ids, consistency, deadline, answered, failed });
      return;
    }
    const { ids, expectedValues, newValues, firstWriteId: writeId } = batch;
    const columns = { kinds, ids, expectedValues, newValues, writeId };
    this.#core.write({ columns, deadline, answered, failed });
  }

  #fail(number: number, failure: Failure): void {
    const detail = detailOf(failure);
    this.#finish({ number, statuses: NO_BYTES, oldValues: NO_BYTES, failure: detail });
  }

  #finish(result: BatchResult): void {
    this.#waiting--;
    if (this.#gone) return;
    this.#results.push(result);
    if (this.#results.length > 1) return;
    this.#core.clock.afterPendingInput(() => {
      this.#send();
    });
  }

  #send(): void {
    const results = this.#results;
    this.#results = [];
    if (this.#gone) return;
    if (!this.#call.write({ results })) this.#call.pause();
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if (this.#ended === 'no' || this.#gone) return;
    if (this.#waiting > 0 || this.#results.length > 0) return;
    this.#gone = true;
    // Every batch that was taken is answered: what the client still misses was not proposed.
    if (this.#ended === 'byServer') this.#call.emit('error', grpcErrorOf(STOPPING));
    else this.#call.end();
  }
}

function bytesOf({ kinds, ids, expectedValues, newValues }: OperationBatch): number {
  return kinds.length + ids.length + expectedValues.length + newValues.length;
}

/** What a request's consistency asks for; linearizable unless it says lease. */
export function consistencyOf(consistency: Consistency): ReadConsistency {
  return consistency === Consistency.CONSISTENCY_LEASE ? 'lease' : 'linearizable';
}
