import { Answers, type AnswerColumns } from './answers.ts';
import { encodeBatch, type WriteColumns } from './command.ts';
import type { Proposal } from './proposal.ts';
import type { BatcherPorts, BatchRequest } from './service-batching.ts';
import type { Waiting } from './service-deadlines.ts';
import {
  LOST_ANSWER,
  SESSION_EXPIRED,
  WRITE_TIMED_OUT,
  failureOfWrite,
  notLeader,
  type Failure,
} from './service-failure.ts';

/** The writes of one caller. */
export type WriteRequest = BatchRequest & { readonly columns: WriteColumns };

export type WriteBatcherPorts = BatcherPorts & {
  readonly checkTerm: boolean;
  readonly entryOperationsMax: number;
};

/** Puts all writes of one turn of the event loop, whoever sent them, into one log entry. */
export class WriteBatcher {
  readonly #ports: WriteBatcherPorts;
  #turn: PendingWrite[] = [];

  constructor(ports: WriteBatcherPorts) {
    this.#ports = ports;
  }

  /** Takes an admitted request; it is proposed at the end of the turn. */
  add(request: WriteRequest): void {
    if (this.#turn.length === 0) {
      this.#ports.clock.afterPendingInput(() => {
        this.#propose();
      });
    }
    this.#turn.push(new PendingWrite(request, this.#ports));
  }

  #propose(): void {
    const turn = this.#turn;
    this.#turn = [];
    let entry: PendingWrite[] = [];
    let operations = 0;
    for (const write of turn) {
      if (operations > 0 && operations + write.operations > this.#ports.entryOperationsMax) {
        void this.#proposeEntry(entry, operations);
        entry = [];
        operations = 0;
      }
      entry.push(write);
      operations += write.operations;
    }
    if (entry.length > 0) void this.#proposeEntry(entry, operations);
  }

  async #proposeEntry(writes: readonly PendingWrite[], operations: number): Promise<void> {
    const { node, stateMachine, clock, leader, checkTerm, onLatency } = this.#ports;
    const term = stateMachine.leaderTerm;
    if (term === undefined) {
      failAll(writes, notLeader(leader()));
      return;
    }
    const answers = new Answers(operations);
    const proposal: Proposal = { answers, applied: false };
    const data = encodeBatch(writes.map((write) => write.columns));
    const startedAt = clock.now();
    try {
      const expected = checkTerm ? { expectedTerm: term } : {};
      await node.apply({ data, context: proposal, ...expected });
    } catch (error) {
      failAll(writes, failureOfWrite(error, leader()));
      return;
    }
    if (!proposal.applied) {
      failAll(writes, LOST_ANSWER);
      return;
    }
    onLatency?.(clock.now() - startedAt, operations);
    distribute(writes, answers);
  }
}

/** One request on its way. Its caller hears of it once, whatever comes later. */
class PendingWrite implements Waiting {
  readonly #request: WriteRequest;
  readonly #ports: Pick<BatcherPorts, 'admission' | 'deadlines'>;
  #told = false;

  constructor(request: WriteRequest, ports: Pick<BatcherPorts, 'admission' | 'deadlines'>) {
    this.#request = request;
    this.#ports = ports;
    ports.deadlines.add(this);
  }

  get columns(): WriteColumns {
    return this.#request.columns;
  }

  get operations(): number {
    return this.#request.columns.kinds.length;
  }

  get deadline(): number {
    return this.#request.deadline;
  }

  /** Its room stays taken until the entry is done: the write is still on its way. */
  readonly expire = (): void => {
    this.#told = true;
    this.#request.failed(WRITE_TIMED_OUT);
  };

  answer(answers: AnswerColumns): void {
    this.#finish();
    if (!this.#told) this.#request.answered(answers);
  }

  fail(failure: Failure): void {
    this.#finish();
    if (!this.#told) this.#request.failed(failure);
  }

  #finish(): void {
    this.#ports.admission.releaseWrite(this.#request.columns);
    this.#ports.deadlines.remove(this);
  }
}

function failAll(writes: readonly PendingWrite[], failure: Failure): void {
  for (const write of writes) write.fail(failure);
}

function distribute(writes: readonly PendingWrite[], answers: Answers): void {
  let at = 0;
  for (const [section, write] of writes.entries()) {
    if (answers.isExpired(section)) write.fail(SESSION_EXPIRED);
    else write.answer(answers.columns(at, write.operations));
    at += write.operations;
  }
}
