import type { RegisterSessionResponse } from '../proto/gen/atomic/v1/atomic.ts';
import { peerAddress } from '../server/raft/core/peer-id.ts';
import { AtomicError } from './atomic-error.ts';
import type { Batch } from './batch.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import { failureOfCall } from './failure.ts';
import { groupMetadata } from './group-metadata.ts';
import { LeaderLink, type LinkOptions } from './leader-link.ts';
import { fail, GET, outcomeNow, type Operation } from './operation.ts';
import { OperationQueue } from './operation-queue.ts';
import { decide, type Attempt, type Decision, type Failure } from './retry.ts';
import type { Session } from './session.ts';
import { WriteNumbering } from './write-numbering.ts';

export type DispatcherOptions = Omit<LinkOptions, 'listener'> & {
  readonly exactlyOnce: boolean;
  /** Operations that may wait for room or for a leader; more are refused as `busy`. */
  readonly operationsWaitingMax: number;
  readonly operationsPerBatchMax: number;
};

const REGISTER_TIMEOUT_MS = 2_000;

type Retry = Extract<Decision, { type: 'retry' }>;

/**
 * Collects the operations of one turn of the event loop, sends them to the leader in one message,
 * and decides with `decide` what follows when something fails.
 */
export class Dispatcher implements Disposable {
  readonly #options: DispatcherOptions;
  readonly #pool: ConnectionPool;
  readonly #link: LeaderLink;
  readonly #deadlines = new DeadlineTimer((now) => this.#sweep(now));
  readonly #reads = new OperationQueue();
  readonly #writes = new OperationQueue();
  /** Exactly-once batches that may have happened, to be sent again with the serials they have. */
  #resend: Batch[] = [];
  #numbering: WriteNumbering | undefined;
  #registering = false;
  #registerFailures = 0;
  #flushScheduled = false;
  #pauseTimer: NodeJS.Timeout | undefined;
  #lastFailure = '';
  #closed = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#pool = options.pool;
    const flush = (): void => {
      this.#schedule();
    };
    this.#link = new LeaderLink({
      ...options,
      listener: {
        opened: flush,
        writable: flush,
        answered: (batch) => {
          this.#release(batch);
        },
        failed: (batch, failure, session) => {
          this.#handle(batch, failure, session);
        },
        broken: (batches, failure, session) => {
          for (const batch of batches) this.#handle(batch, failure, session);
        },
      },
    });
  }

  /** The server that operations go to now, as a peer id. */
  get leader(): string | undefined {
    return this.#link.leader;
  }

  /** Sends the operation with the others of this turn. It is settled in every case. */
  submit(operation: Operation): void {
    if (this.#closed) {
      fail(operation, new AtomicError('closed', 'the client was closed'));
      return;
    }
    if (this.#waiting >= this.#options.operationsWaitingMax) {
      const message = `more than ${this.#options.operationsWaitingMax} operations are waiting`;
      fail(operation, new AtomicError('busy', message));
      return;
    }
    (operation.kind === GET ? this.#reads : this.#writes).push(operation);
    this.#deadlines.add(operation.deadline);
    this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#deadlines[Symbol.dispose]();
    clearTimeout(this.#pauseTimer);
    for (const operation of this.#outstanding()) {
      const details = { outcome: outcomeNow(operation) };
      fail(operation, new AtomicError('closed', 'the client was closed', details));
    }
    this.#link[Symbol.dispose]();
  }

  get #waiting(): number {
    return this.#reads.size + this.#writes.size;
  }

  #schedule(): void {
    if (this.#flushScheduled || this.#closed) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#closed || this.#pauseTimer !== undefined) return;
    if (this.#waiting === 0 && this.#resend.length === 0) return;
    const session = this.#link.session;
    if (session === undefined) {
      this.#link.want();
      return;
    }
    const room = session.room();
    if (room <= 0) return;
    const batches = this.#takeBatches(room);
    if (batches.length === 0) return;
    const now = performance.now();
    session.send(batches, now, this.#numbering?.lowestUnanswered ?? 0);
  };

  #takeBatches(room: number): Batch[] {
    const batches = this.#resend.filter((batch) => this.#stillWanted(batch));
    this.#resend = [];
    let left = room - batches.reduce((sum, batch) => sum + batch.operations.length, 0);
    const reads = this.#reads.take(Math.max(0, left));
    left -= reads.length;
    this.#addBatches(batches, reads.some(isLease) ? reads.filter(isLinearizable) : reads, 'read');
    this.#addBatches(batches, reads.filter(isLease), 'leaseRead');
    if (this.#writes.size > 0 && this.#mayWrite()) {
      const writes = Math.min(left, this.#numbering?.room ?? left);
      this.#addBatches(batches, this.#writes.take(Math.max(0, writes)), 'write');
    }
    return batches;
  }

  #addBatches(batches: Batch[], operations: Operation[], path: Batch['path']): void {
    const { operationsPerBatchMax } = this.#options;
    for (let from = 0; from < operations.length; from += operationsPerBatchMax) {
      const part =
        operations.length <= operationsPerBatchMax
          ? operations
          : operations.slice(from, from + operationsPerBatchMax);
      const batch: Batch = { operations: part, path, sentAt: 0 };
      const numbering = path === 'write' ? this.#numbering : undefined;
      if (numbering === undefined) batches.push(batch);
      else batches.push({ ...batch, numbers: numbering.take(part.length) });
    }
  }

  /** Whether writes can go out now; starts the registration they wait for. */
  #mayWrite(): boolean {
    if (!this.#options.exactlyOnce || this.#numbering !== undefined) return true;
    if (!this.#registering) this.#register();
    return false;
  }

  #register(): void {
    const leader = this.#link.leader;
    const session = this.#link.session;
    if (leader === undefined || session === undefined) return;
    this.#registering = true;
    const { atomic } = this.#pool.to(peerAddress(leader));
    const until = { deadline: Date.now() + REGISTER_TIMEOUT_MS };
    atomic.registerSession(
      {},
      groupMetadata(this.#options.group),
      until,
      (error, response?: RegisterSessionResponse) => {
        this.#registering = false;
        if (this.#closed) return;
        if (error === null && response !== undefined) {
          this.#registerFailures = 0;
          this.#numbering = new WriteNumbering(response.sessionId);
          this.#schedule();
        } else if (error !== null) {
          this.#handleRegisterFailure(failureOfCall(error), session);
        }
      },
    );
  }

  #handleRegisterFailure(failure: Failure, session: Session): void {
    this.#lastFailure = failure.message;
    this.#registerFailures += 1;
    // A session registered twice is harmless: the unused one is evicted in time.
    const attempt: Attempt = {
      operation: 'numberedWrite',
      failures: this.#registerFailures,
      maybeDone: false,
    };
    const decision = decide(attempt, failure, Math.random());
    if (decision.type === 'retry') {
      this.#retryWhere(decision, failure, session);
      return;
    }
    for (const write of this.#writes.take(this.#writes.size)) {
      const message = `cannot open an exactly-once session: ${failure.message}`;
      fail(write, new AtomicError(decision.code, message, { reason: failure.reason }));
    }
  }

  #handle(batch: Batch, failure: Failure, session: Session): void {
    this.#lastFailure = failure.message;
    if (!this.#stillWanted(batch) || this.#closed) return;
    const attempt = attemptOf(batch);
    const decision = decide(attempt, failure, Math.random());
    const unknown = failure.outcome === 'unknown' && batch.numbers !== undefined;
    for (const operation of batch.operations) {
      operation.sent = false;
      operation.failures = attempt.failures;
      if (unknown) operation.maybeDone = true;
    }
    if (decision.type === 'giveUp') this.#giveUp(batch, decision, failure);
    else {
      this.#queueAgain(batch, decision);
      this.#retryWhere(decision, failure, session);
    }
  }

  #giveUp(batch: Batch, decision: Extract<Decision, { type: 'giveUp' }>, failure: Failure): void {
    this.#release(batch);
    const { outcome, code } = decision;
    for (const operation of batch.operations) {
      fail(operation, new AtomicError(code, failure.message, { outcome, reason: failure.reason }));
    }
  }

  /**
   * A batch that may have happened is repeated whole, with its serials. All others are put together
   * anew: a caller that gave up meanwhile was told that nothing happened, so nothing may.
   */
  #queueAgain(batch: Batch, decision: Retry): void {
    if (batch.operations.some((operation) => operation.maybeDone)) {
      this.#resend.push(batch);
      return;
    }
    this.#release(batch);
    const ofThisSession = this.#numbering?.sessionId === batch.numbers?.sessionId;
    if (decision.newSession && ofThisSession) this.#numbering = undefined;
    const queue = batch.path === 'write' ? this.#writes : this.#reads;
    queue.putBack(batch.operations);
  }

  #retryWhere(decision: Retry, failure: Failure, session: Session): void {
    if (decision.afterMs > 0) this.#pause(decision.afterMs);
    switch (decision.at) {
      case 'sameServer':
        break;
      case 'namedLeader':
        this.#link.follow(failure.leader ?? '', session);
        break;
      case 'anyLeader':
        this.#link.leave(session);
        break;
    }
    this.#schedule();
  }

  /** Sends nothing for a while: what made one batch wait makes the others wait too. */
  #pause(forMs: number): void {
    if (this.#pauseTimer !== undefined) return;
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = undefined;
      this.#schedule();
    }, forMs);
  }

  /** False, and its serials given back, if every caller has stopped waiting. */
  #stillWanted(batch: Batch): boolean {
    if (batch.operations.some((operation) => !operation.settled)) return true;
    this.#release(batch);
    return false;
  }

  #release(batch: Batch): void {
    const { numbers } = batch;
    if (numbers === undefined || this.#numbering?.sessionId !== numbers.sessionId) return;
    this.#numbering.release(numbers);
    if (this.#writes.size > 0) this.#schedule();
  }

  #sweep(now: number): number {
    let earliest = Infinity;
    for (const operation of this.#outstanding()) {
      if (operation.settled) continue;
      if (operation.deadline > now) earliest = Math.min(earliest, operation.deadline);
      else fail(operation, this.#timeout(operation));
    }
    // Numbers that nobody waits for must not hold up those that follow.
    for (const session of this.#link.sessions) {
      for (const batch of session.unanswered()) this.#stillWanted(batch);
    }
    if (earliest === Infinity) this.#link.rest();
    return earliest;
  }

  #timeout(operation: Operation): AtomicError {
    const outcome = outcomeNow(operation);
    const { leader } = this.#link;
    const where =
      leader === undefined ? 'no leader was found in time' : `no answer from ${leader} in time`;
    const answer = leader === undefined ? this.#options.finder.lastAnswer : '';
    const failure = this.#lastFailure || answer;
    const last = failure === '' ? '' : `; the last failure was: ${failure}`;
    return new AtomicError('timeout', `${where}${last}`, { outcome });
  }

  *#outstanding(): Iterable<Operation> {
    yield* this.#reads;
    yield* this.#writes;
    for (const batch of this.#resend) yield* batch.operations;
    for (const session of this.#link.sessions) {
      for (const batch of session.unanswered()) yield* batch.operations;
    }
  }
}

function attemptOf(batch: Batch): Attempt {
  const write = batch.numbers === undefined ? 'write' : 'numberedWrite';
  const failures = Math.max(...batch.operations.map((operation) => operation.failures));
  return {
    operation: batch.path === 'write' ? write : 'read',
    failures: failures + 1,
    maybeDone: batch.operations.some((operation) => operation.maybeDone),
  };
}

function isLease(operation: Operation): boolean {
  return operation.lease;
}

function isLinearizable(operation: Operation): boolean {
  return !operation.lease;
}
