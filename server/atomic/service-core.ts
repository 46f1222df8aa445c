import type { Clock, LogIndex } from '../raft/index.ts';
import { encodeRegisterSession, type WriteColumns } from './command.ts';
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from './limits.ts';
import { Admission, DEFAULT_SERVICE_LIMITS, type ServiceLimits } from './service-admission.ts';
import { DeadlineSweep } from './service-deadlines.ts';
import { STOPPING, TOO_LATE, failureOfWrite, notLeader, type Failure } from './service-failure.ts';
import type { ServiceNode } from './service-node.ts';
import { ReadBatcher, type ReadRequest } from './service-reads.ts';
import { WriteBatcher, type WriteRequest } from './service-writes.ts';
import type { AtomicStateMachine } from './state-machine.ts';

export type AtomicServiceOptions = {
  readonly node: ServiceNode;
  readonly stateMachine: AtomicStateMachine;
  readonly clock: Clock;
  /** Proposes with the term of this leadership (braft check_term). */
  readonly checkTerm?: boolean; // true
  readonly limits?: Partial<ServiceLimits>;
  readonly sessionLimits?: SessionLimits;
  /** For callers that name no deadline. */
  readonly requestTimeoutMs?: number; // 5000
  /** Told how long an entry of writes took from proposing to applied. */
  readonly onWriteLatency?: (durationMs: number, operations: number) => void;
  /** Told how long confirming a batch of reads took. */
  readonly onReadLatency?: (durationMs: number, operations: number) => void;
};

const REQUEST_TIMEOUT_MS = 5_000;

/**
 * The service behind all protocols, for one group: admits requests, puts what arrives in one turn
 * of the event loop into one log entry or one read round, and answers.
 */
export class AtomicServiceCore {
  readonly #options: AtomicServiceOptions;
  readonly #admission: Admission;
  readonly #deadlines: DeadlineSweep;
  readonly #writes: WriteBatcher;
  readonly #reads: ReadBatcher;
  readonly #closeListeners = new Set<() => void>();
  #stopped = false;

  constructor(options: AtomicServiceOptions) {
    const { node, stateMachine, clock } = options;
    this.#options = options;
    const limits = { ...DEFAULT_SERVICE_LIMITS, ...options.limits };
    this.#admission = new Admission(limits, () => stateMachine.state.counters);
    this.#deadlines = new DeadlineSweep(clock);
    const shared = {
      ...{ node, stateMachine, clock, admission: this.#admission, deadlines: this.#deadlines },
      leader: () => this.leader(),
    };
    this.#writes = new WriteBatcher({
      ...shared,
      checkTerm: options.checkTerm ?? true,
      entryOperationsMax: limits.entryOperationsMax,
      ...(options.onWriteLatency === undefined ? {} : { onLatency: options.onWriteLatency }),
    });
    this.#reads = new ReadBatcher({
      ...shared,
      ...(options.onReadLatency === undefined ? {} : { onLatency: options.onReadLatency }),
    });
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get operationsInFlight(): number {
    return this.#admission.operationsInFlight;
  }

  /** The peer that leads, when known and another. */
  leader(): string | undefined {
    const { node } = this.#options;
    const leader = node.leaderId();
    return leader === node.peer ? undefined : leader;
  }

  /** The deadline of a request that arrives now, in the clock's milliseconds. */
  deadlineAfter(timeoutMs: number): number {
    const fallback = this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    return this.#options.clock.now() + (timeoutMs > 0 ? timeoutMs : fallback);
  }

  /** Says why a message with this many bytes of operations is not taken, if it is not. */
  refuseMessage(bytes: number): Failure | undefined {
    return this.#admission.checkMessage(bytes);
  }

  /** Proposes with whatever else arrives in this turn. A refusal comes before this returns. */
  write(request: WriteRequest): void {
    const refusal = this.#refuseWrite(request.columns, request.deadline);
    if (refusal !== undefined) request.failed(refusal);
    else this.#writes.add(request);
  }

  /** Reads once the state is known to be recent enough. A refusal comes before this returns. */
  read(request: ReadRequest): void {
    const refusal =
      this.#refuseNow(request.deadline) ??
      (this.#options.node.isLeader() ? undefined : notLeader(this.leader())) ??
      this.#admission.admitRead(request.ids);
    if (refusal !== undefined) request.failed(refusal);
    else this.#reads.add(request);
  }

  /** Opens a session for exactly-once writes. */
  async registerSession(): Promise<LogIndex | Failure> {
    const { node, stateMachine, checkTerm = true } = this.#options;
    const term = stateMachine.leaderTerm;
    if (this.#stopped) return STOPPING;
    if (term === undefined) return notLeader(this.leader());
    const refusal = this.#admission.admitRegistration();
    if (refusal !== undefined) return refusal;
    const data = encodeRegisterSession(this.#options.sessionLimits ?? DEFAULT_SESSION_LIMITS);
    try {
      const { index } = await node.apply({ data, ...(checkTerm ? { expectedTerm: term } : {}) });
      return index;
    } catch (error) {
      return failureOfWrite(error, this.leader());
    } finally {
      this.#admission.releaseRegistration();
    }
  }

  /** Calls `listener` when the service closes; the returned function forgets it. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Takes nothing more; streams end. What is in flight is still answered. Idempotent. */
  close(): void {
    this.#stopped = true;
    for (const listener of [...this.#closeListeners]) listener();
    this.#deadlines.closeWhenIdle();
  }

  #refuseWrite(columns: WriteColumns, deadline: number): Failure | undefined {
    return (
      this.#refuseNow(deadline) ??
      (this.#options.stateMachine.leaderTerm === undefined
        ? notLeader(this.leader())
        : undefined) ??
      this.#admission.admitWrite(columns)
    );
  }

  #refuseNow(deadline: number): Failure | undefined {
    if (this.#stopped) return STOPPING;
    return deadline <= this.#options.clock.now() ? TOO_LATE : undefined;
  }
}
