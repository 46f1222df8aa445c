import type { PeerId } from '../../server/raft/core/ids.ts';
import type { CounterHistory, Write } from './checkers/counter-history.ts';
import type { CallOutcome, ClientNetwork, CounterRequest } from './counter-service.ts';
import type { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** What one client saw of one operation; the black-box checker judges these. */
export type ClientRecord = {
  readonly client: number;
  readonly request: CounterRequest;
  readonly calledAtMs: number;
  readonly returnedAtMs: number;
  readonly outcome: CallOutcome;
};

export type ClientSurroundings = {
  readonly scheduler: Scheduler;
  readonly network: ClientNetwork;
  readonly counters: CounterHistory;
  /** The last index committed anywhere. */
  readonly committedIndex: () => number;
  readonly servers: () => readonly PeerId[];
  readonly trace: Trace;
  /** Runs a check; a violation ends the simulation. */
  readonly judge: (check: () => void) => void;
  readonly record: (record: ClientRecord) => void;
};

export type ClientHabits = {
  readonly number: number;
  readonly thinkMs: number;
  readonly registers: number;
  readonly leaseReads: boolean;
};

const ATTEMPT_TIMEOUT_MS = 3_000;
const ATTEMPTS_MAX = 8;
const RETRY_PAUSE_MS = 100;
/** Counters have ids from here on: what is written there is not unique. */
const FIRST_COUNTER_ID = 100;
const COUNTERS = 2;

/** One client: an operation at a time, redirects followed, unknown outcomes never repeated. */
export class SimulatedClient {
  readonly #surroundings: ClientSurroundings;
  readonly #habits: ClientHabits;
  readonly #random: SimulationRandom;
  #leader: PeerId | undefined;
  #serial = 0;
  #stopped = false;
  #busy = false;
  #completed = 0;
  /** What this client last saw in each place: a compare-exchange expects it. */
  readonly #seen = new Map<bigint, bigint>();

  constructor(surroundings: ClientSurroundings, habits: ClientHabits, random: SimulationRandom) {
    this.#surroundings = surroundings;
    this.#habits = habits;
    this.#random = random;
  }

  /** Operations that got an answer. */
  completed(): number {
    return this.#completed;
  }

  /** An operation is under way. */
  isBusy(): boolean {
    return this.#busy;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Works until stopped. */
  start(): void {
    this.#stopped = false;
    this.#thinkAgain();
  }

  #thinkAgain(): void {
    this.#surroundings.scheduler.after(this.#random.exponential(this.#habits.thinkMs), () => {
      if (this.#stopped) return;
      this.#busy = true;
      const done = (): void => {
        this.#busy = false;
        this.#thinkAgain();
      };
      // A violation has been reported by then, and has ended the run.
      this.#operate().then(done, done);
    });
  }

  async #operate(): Promise<void> {
    const choice = this.#random.fraction();
    const makeRequest = this.#chooseRequest(choice);
    for (let attempt = 0; attempt < ATTEMPTS_MAX && !this.#stopped; attempt++) {
      const isFinal = await this.#attempt(makeRequest());
      if (isFinal) return;
      await this.#surroundings.scheduler.sleep(this.#random.between(0.5, 1.5) * RETRY_PAUSE_MS);
    }
  }

  #chooseRequest(choice: number): () => CounterRequest {
    const register = BigInt(this.#random.integer(1, this.#habits.registers));
    if (choice < 0.3) return this.#readRequest(register);
    if (choice < 0.5) return () => this.#writeRequest('exchange', register);
    if (choice < 0.75) return () => this.#writeRequest('compareExchange', register);
    const counter = BigInt(FIRST_COUNTER_ID + this.#random.integer(0, COUNTERS - 1));
    if (choice < 0.8) return this.#readRequest(counter);
    return () => this.#countRequest(counter);
  }

  #readRequest(id: bigint): () => CounterRequest {
    const lease = this.#habits.leaseReads && this.#random.chance(0.5);
    const consistency = lease ? 'lease' : 'linearizable';
    return () => ({ type: 'read', id, consistency });
  }

  #writeRequest(type: Write['type'], id: bigint): CounterRequest {
    // Every attempt writes a value of its own, so that each committed write has one author.
    const value = (BigInt(this.#habits.number + 1) << 40n) | BigInt(++this.#serial);
    const expected = this.#seen.get(id) ?? 0n;
    const write: Write = type === 'exchange' ? { type, id, value } : { type, id, expected, value };
    return { type: 'write', write };
  }

  #countRequest(id: bigint): CounterRequest {
    const expected = this.#seen.get(id) ?? 0n;
    return {
      type: 'write',
      write: { type: 'compareExchange', id, expected, value: expected + 1n },
    };
  }

  async #attempt(request: CounterRequest): Promise<boolean> {
    const { scheduler, network, committedIndex, servers } = this.#surroundings;
    const target = this.#leader ?? this.#random.pick(servers());
    if (target === undefined) return false;
    const calledAfter = committedIndex();
    const calledAtMs = scheduler.now();
    const outcome = await network.call(target, request, ATTEMPT_TIMEOUT_MS);
    const client = this.#habits.number;
    const returnedAtMs = scheduler.now();
    this.#surroundings.record({ client, request, calledAtMs, returnedAtMs, outcome });
    this.#surroundings.trace.event(() => describeOperation(client, request, outcome));
    this.#surroundings.judge(() => {
      this.#judge(request, outcome, calledAfter);
    });
    return this.#learn(target, request, outcome);
  }

  #judge(request: CounterRequest, outcome: CallOutcome, calledAfter: number): void {
    const { counters } = this.#surroundings;
    const span = { calledAfter, returnedAt: this.#surroundings.committedIndex() };
    if (outcome.type === 'written' && request.type === 'write') {
      counters.answeredWrite(request.write, outcome.result, { ...span, index: outcome.index });
    } else if (outcome.type === 'read' && request.type === 'read') {
      counters.answeredRead(request.id, outcome.value, span);
    } else if (outcome.type === 'refused' && request.type === 'write') {
      if (request.write.id < FIRST_COUNTER_ID) counters.refusedWrite(request.write.value);
    }
  }

  /** Remembers what the outcome tells; says whether the operation is over. */
  #learn(target: PeerId, request: CounterRequest, outcome: CallOutcome): boolean {
    switch (outcome.type) {
      case 'written': {
        this.#leader = target;
        this.#completed++;
        if (request.type !== 'write') return true;
        const { id, value } = request.write;
        this.#seen.set(id, outcome.result.exchanged ? value : outcome.result.oldValue);
        return true;
      }
      case 'read':
        this.#leader = target;
        this.#completed++;
        if (request.type === 'read') this.#seen.set(request.id, outcome.value);
        return true;
      case 'refused':
        this.#leader = outcome.leader === target ? undefined : outcome.leader;
        return false;
      case 'unknown':
      case 'noAnswer':
        this.#leader = undefined;
        return true;
    }
  }
}

function describeOperation(client: number, request: CounterRequest, outcome: CallOutcome): string {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (_key, inner: unknown) =>
      typeof inner === 'bigint' ? inner.toString() : inner,
    );
  return `client ${client} ${plain(request)} -> ${plain(outcome)}`;
}
