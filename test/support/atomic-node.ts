import {
  LogIndex,
  RaftError,
  Term,
  parsePeerId,
  systemClock,
  type ApplyIterator,
  type NodeApi,
  type PeerId,
  type Task,
} from '../../server/raft/index.ts';
import type { Proposal } from '../../server/atomic/proposal.ts';
import type { AtomicStateMachine } from '../../server/atomic/state-machine.ts';

/** A peer id from text that is known to be one. */
export function peer(text: string): PeerId {
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.peer;
}

export const SELF = peer('127.0.0.1:22000');
export const OTHER = peer('127.0.0.1:22001');

/** One entry as an iterator gives it; notes whether the state machine gave up. */
export class OneEntry implements ApplyIterator<Proposal> {
  readonly #index: number;
  readonly #task: Task<Proposal>;
  #passed = false;
  failure: string | undefined;

  constructor(index: number, task: Task<Proposal>) {
    this.#index = index;
    this.#task = task;
  }

  valid(): boolean {
    return !this.#passed && this.failure === undefined;
  }

  next(): void {
    this.#passed = true;
  }

  index(): LogIndex {
    return LogIndex(this.#index);
  }

  term(): Term {
    return Term(1);
  }

  data(): Uint8Array {
    return this.#task.data;
  }

  context(): Proposal | undefined {
    return this.#task.context;
  }

  setErrorAndRollback(_entries: number, reason: string): void {
    this.failure = reason;
  }
}

/** Applies one entry's data; why the state machine gave up, if it did. */
export function applyData(
  machine: AtomicStateMachine,
  index: number,
  data: Uint8Array,
): string | undefined {
  const entry = new OneEntry(index, { data });
  machine.onApply(entry);
  return entry.failure;
}

/** A group of one that commits at once, and members that only follow. Nothing is on disk. */
export class FakeAtomicNode implements Pick<
  NodeApi<Proposal>,
  'apply' | 'readIndex' | 'leaderId' | 'isLeader' | 'peer' | 'listPeers'
> {
  readonly peer = SELF;
  readonly machine: AtomicStateMachine;
  readonly followers: AtomicStateMachine[] = [];
  /** Every task proposed. */
  readonly proposed: Task<Proposal>[] = [];
  readRounds = 0;
  leader: PeerId | undefined = SELF;
  voters: readonly PeerId[] = [SELF];
  /** Thrown instead of proposing. */
  applyError: unknown;
  readError: unknown;
  /** Tasks are proposed but stay pending until `release`. */
  held = false;
  #waiting: (() => void)[] = [];
  #index = 0;

  constructor(machine: AtomicStateMachine) {
    this.machine = machine;
    machine.onLeaderStart(Term(1));
  }

  leaderId(): PeerId | undefined {
    return this.leader;
  }

  isLeader(): boolean {
    return this.leader === this.peer;
  }

  listPeers(): readonly PeerId[] {
    return this.voters;
  }

  async apply(task: Task<Proposal>): Promise<{ index: LogIndex; term: Term }> {
    await Promise.resolve();
    if (this.applyError !== undefined) throw this.applyError as Error;
    this.proposed.push(task);
    await this.#released();
    const index = ++this.#index;
    const entry = new OneEntry(index, task);
    for (const follower of this.followers) applyData(follower, index, task.data);
    this.machine.onApply(entry);
    if (entry.failure !== undefined) {
      throw new RaftError('ESTATEMACHINE', entry.failure, { outcome: 'unknown' });
    }
    return { index: LogIndex(index), term: Term(1) };
  }

  async readIndex(): Promise<LogIndex> {
    this.readRounds++;
    await this.#released();
    if (this.readError !== undefined) throw this.readError as Error;
    return LogIndex(this.#index);
  }

  release(): void {
    this.held = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** No leader, or another one. */
  stepDown(leader: PeerId | undefined): void {
    this.leader = leader;
    this.machine.onLeaderStop(new RaftError('EPERM', 'stepped down'));
  }

  #released(): Promise<void> {
    if (!this.held) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

/** The system's clock, whose deadlines a test may make pass. */
export class SteerableClock {
  offsetMs = 0;
  now = () => (systemClock.now() + this.offsetMs) as ReturnType<typeof systemClock.now>;
  after = systemClock.after.bind(systemClock);
  afterPendingInput = systemClock.afterPendingInput.bind(systemClock);
}
