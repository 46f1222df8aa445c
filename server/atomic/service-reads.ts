import { Answers, DONE, type AnswerColumns } from './answers.ts';
import type { CounterMap } from './counter-map.ts';
import { INT64_BYTES } from './int64.ts';
import type { BatcherPorts, BatchRequest } from './service-batching.ts';
import type { Waiting } from './service-deadlines.ts';
import { TOO_LATE, failureOfRead, type Failure } from './service-failure.ts';

/** How fresh a read must be. */
export type ReadConsistency = 'linearizable' | 'lease';

/** The reads of one caller. */
export type ReadRequest = BatchRequest & {
  /** An int64 column. */
  readonly ids: Uint8Array;
  readonly consistency: ReadConsistency;
};

/** Confirms all reads of one turn of the event loop by one ReadIndex (dissertation §6.4). */
export class ReadBatcher {
  readonly #ports: BatcherPorts;
  readonly #turn: Record<ReadConsistency, PendingRead[]> = { linearizable: [], lease: [] };

  constructor(ports: BatcherPorts) {
    this.#ports = ports;
  }

  /** Takes an admitted request. */
  add(request: ReadRequest): void {
    const { consistency } = request;
    if (this.#turn[consistency].length === 0) {
      this.#ports.clock.afterPendingInput(() => {
        void this.#confirm(consistency);
      });
    }
    this.#turn[consistency].push(new PendingRead(request, this.#ports));
  }

  async #confirm(consistency: ReadConsistency): Promise<void> {
    const { node, stateMachine, clock, leader, onLatency } = this.#ports;
    const reads = this.#turn[consistency];
    this.#turn[consistency] = [];
    const startedAt = clock.now();
    try {
      await node.readIndex({ consistency });
    } catch (error) {
      const failure = failureOfRead(error, leader());
      for (const read of reads) read.fail(failure);
      return;
    }
    const { counters } = stateMachine.state;
    let operations = 0;
    for (const read of reads) operations += read.answerFrom(counters);
    onLatency?.(clock.now() - startedAt, operations);
  }
}

/** One request on its way. Its caller hears of it once. */
class PendingRead implements Waiting {
  readonly #request: ReadRequest;
  readonly #ports: Pick<BatcherPorts, 'admission' | 'deadlines'>;
  #told = false;

  constructor(request: ReadRequest, ports: Pick<BatcherPorts, 'admission' | 'deadlines'>) {
    this.#request = request;
    this.#ports = ports;
    ports.deadlines.add(this);
  }

  get deadline(): number {
    return this.#request.deadline;
  }

  readonly expire = (): void => {
    this.fail(TOO_LATE);
  };

  fail(failure: Failure): void {
    if (this.#told) return;
    this.#finish();
    this.#request.failed(failure);
  }

  /** Answers with what the counters hold now; the number of reads done. */
  answerFrom(counters: CounterMap): number {
    if (this.#told) return 0;
    this.#finish();
    const answers = readColumn(this.#request.ids, counters);
    this.#request.answered(answers);
    return answers.statuses.length;
  }

  #finish(): void {
    this.#told = true;
    this.#ports.admission.releaseRead(this.#request.ids);
    this.#ports.deadlines.remove(this);
  }
}

function readColumn(ids: Uint8Array, counters: CounterMap): AnswerColumns {
  const count = ids.length / INT64_BYTES;
  const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
  const answers = new Answers(count);
  for (let at = 0; at < count; at++) {
    counters.find(view.getInt32(at * 8, true), view.getInt32(at * 8 + 4, true));
    answers.set(at, DONE, counters.valueLow, counters.valueHigh);
  }
  return answers;
}
