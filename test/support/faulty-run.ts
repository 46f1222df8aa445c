import type { Ticket } from '../../server/raft/core/event.ts';
import { MonotonicMs, previous, type LogIndex } from '../../server/raft/core/ids.ts';
import type { MembershipChange } from '../../server/raft/core/membership.ts';
import type { Message } from '../../server/raft/core/message.ts';
import { createPrng, type Prng } from '../../server/raft/core/prng.ts';
import { CoreCluster, letterOf, peer, saveSnapshot } from './core-cluster.ts';

const LETTERS = 'abcde'.split('');
const STEPS = 60;

/** More entries than are committed between two looks. */
const LOOKS_BACK_ENTRIES = 40;

/** Faults in force: shares of messages, and who does not hear whom. */
type Faults = {
  readonly lost: number;
  readonly late: number;
  readonly repeated: number;
  readonly cut: readonly string[];
  readonly deafTo: string;
};

const NO_FAULTS: Faults = { lost: 0, late: 0, repeated: 0, cut: [], deafTo: '' };

/**
 * Cores that change their members and leaders, read and write, while messages are lost, late and
 * repeated, disks are slow and nodes crash. All of it follows from the seed.
 */
export class FaultyRun {
  readonly cluster: CoreCluster;
  /** What was seen that must never be: empty after a good run. */
  readonly violations: string[] = [];
  readonly #prng: Prng;
  readonly #leases: boolean;
  #faults = NO_FAULTS;
  readonly #late: { readonly dueAt: number; readonly message: Message }[] = [];
  readonly #leaderByTerm = new Map<number, string>();
  readonly #committedTerms = new Map<number, number>();
  #highestCommitted = 0;
  #reads: { readonly ticket: Ticket; readonly floor: number }[] = [];

  constructor(seed: number) {
    this.#prng = createPrng(seed);
    this.#leases = this.#happens(0.6);
    const size = 1 + this.#below(4);
    this.cluster = new CoreCluster(LETTERS.slice(0, size).join(''), {
      seed,
      joining: LETTERS.slice(size),
      core: {
        leaderLease: this.#leases,
        clockDriftMaxMs: 50,
        inFlightEntriesMax: this.#happens(0.5) ? 3 : 4_096,
        appendBytesMax: this.#happens(0.5) ? 60 : 1e6,
        recentBytesMax: this.#happens(0.5) ? 100 : 1e7,
        catchUpMarginEntries: this.#happens(0.5) ? 0 : 10,
      },
    });
    this.cluster.deliver = (message) => this.#arrives(message);
  }

  /** Faults for a while, then none: the group must serve again. */
  run(): void {
    this.#pass(3_000);
    for (let step = 0; step < STEPS; step++) {
      this.#act();
      this.#pass(10 + 10 * this.#below(40));
    }
    this.#faults = NO_FAULTS;
    for (const letter of LETTERS) {
      this.cluster.node(letter).diskIsFast = true;
      this.cluster.flushDisk(letter);
      this.#setReadonly(letter, false);
    }
    this.#pass(15_000);
    if (!this.#isServed()) this.violations.push('no leader commits anything in the end');
  }

  #act(): void {
    const { cluster } = this;
    const letter = this.#one(LETTERS) ?? 'a';
    const kind = this.#chance();
    if (kind < 0.2) this.#faults = this.#newFaults();
    else if (kind < 0.3) this.#restart(letter);
    else if (kind < 0.4) this.#changeDisk(letter);
    else if (kind < 0.44) cluster.campaign(letter);
    else if (kind < 0.49) this.#saveSnapshot(letter);
    else if (kind < 0.52) this.#setReadonly(letter, this.#happens(0.3));
    else this.#askLeader();
  }

  #askLeader(): void {
    const { cluster } = this;
    const leader = this.#one(cluster.leaders());
    if (leader === undefined) return;
    const kind = this.#chance();
    const target = this.#happens(0.5) ? undefined : this.#one(LETTERS);
    if (kind < 0.35) cluster.change(leader, { target: this.#newMembers(leader) });
    else if (kind < 0.5) cluster.transfer(leader, target);
    else for (let i = 0; i < 5; i++) cluster.propose(leader, `at ${String(cluster.now)}`);
  }

  #newFaults(): Faults {
    const share = (highest: number): number => (this.#happens(0.5) ? 0 : this.#chance() * highest);
    return {
      lost: share(0.4),
      late: share(0.6),
      repeated: share(0.3),
      cut: this.#happens(0.5) ? [] : this.#some(LETTERS, 0.4),
      deafTo: this.#happens(0.7) ? '' : `${this.#one(LETTERS) ?? ''}${this.#one(LETTERS) ?? ''}`,
    };
  }

  #newMembers(leader: string): MembershipChange['target'] {
    const letter = this.#one(LETTERS) ?? 'a';
    const kind = this.#chance();
    if (kind < 0.25) return { type: 'removeVoter', peer: peer(leader) };
    if (kind < 0.4) return { type: 'addLearner', peer: peer(letter) };
    if (kind < 0.5) return { type: 'promoteLearner', peer: peer(letter) };
    return { type: 'changeVoters', voters: new Set(this.#some(LETTERS, 0.5).map(peer)) };
  }

  #restart(letter: string): void {
    const { state, diskIsFast } = this.cluster.node(letter);
    if (state.joined) this.cluster.restart(letter).diskIsFast = diskIsFast;
  }

  #changeDisk(letter: string): void {
    const node = this.cluster.node(letter);
    node.diskIsFast = !node.diskIsFast;
    if (node.diskIsFast) this.cluster.flushDisk(letter);
  }

  #saveSnapshot(letter: string): void {
    const { appliedIndex, snapshot } = this.cluster.state(letter);
    if (appliedIndex > (snapshot?.lastIncluded.index ?? 0)) saveSnapshot(this.cluster, letter);
  }

  #setReadonly(letter: string, readonly: boolean): void {
    const now = MonotonicMs(this.cluster.now);
    this.cluster.event(letter, { type: 'setReadonly', now, readonly });
  }

  /** Time passes; some ticks and some writes are slower than others. */
  #pass(durationMs: number): void {
    const { cluster } = this;
    for (const end = cluster.now + durationMs; cluster.now < end;) {
      cluster.now += 10;
      this.#deliverLate();
      for (const letter of cluster.nodes.keys()) if (this.#happens(0.9)) cluster.tick(letter);
      cluster.settle();
      for (const letter of cluster.nodes.keys()) if (this.#happens(0.1)) cluster.flushOne(letter);
      cluster.settle();
      this.#observe();
      this.#checkReads();
      if (this.#happens(0.1)) this.#read();
    }
  }

  #arrives(message: Message): boolean {
    const [from, to] = [letterOf(message.from), letterOf(message.to)];
    const { cut, deafTo, lost, late, repeated } = this.#faults;
    if (cut.includes(from) !== cut.includes(to) || deafTo === from + to) return false;
    if (this.#happens(repeated)) this.#postpone(message);
    const isLate = this.#happens(late);
    if (isLate) this.#postpone(message);
    return !isLate && !this.#happens(lost);
  }

  #postpone(message: Message): void {
    const delay = this.#chance() * this.#chance() * 1_500;
    this.#late.push({ dueAt: this.cluster.now + delay, message });
  }

  /** Late messages come in any order, and are not late again. */
  #deliverLate(): void {
    const due = this.#late.filter(({ dueAt }) => dueAt <= this.cluster.now);
    if (due.length === 0) return;
    const faults = this.#faults;
    this.#late.splice(0, this.#late.length, ...this.#late.filter((late) => !due.includes(late)));
    this.#faults = { ...NO_FAULTS, cut: faults.cut, deafTo: faults.deafTo };
    for (const { message } of due) this.cluster.receive(message);
    this.#faults = faults;
  }

  #read(): void {
    const leader = this.#one(this.cluster.leaders());
    if (leader === undefined) return;
    const floor = this.#highestCommitted;
    const how = this.#leases && this.#happens(0.7) ? 'lease' : 'linearizable';
    this.#reads.push({ ticket: this.cluster.read(leader, how), floor });
    this.#checkReads();
  }

  /** A read must see all that was committed when it was asked (dissertation §6.4). */
  #checkReads(): void {
    const { answers } = this.cluster;
    for (const { ticket, floor } of this.#reads) {
      const answer = answers.get(ticket);
      if (answer?.type !== 'read' || answer.index >= floor) continue;
      this.violations.push(`a read at ${String(answer.index)} after ${String(floor)}`);
    }
    this.#reads = this.#reads.filter(({ ticket }) => !answers.has(ticket));
  }

  /** One leader a term (§5.2), and what one node takes for committed all do (§5.4.3). */
  #observe(): void {
    for (const { letter, state } of this.cluster.nodes.values()) {
      const { term } = state.hardState;
      if (state.role.type === 'leader') {
        const known = this.#leaderByTerm.get(term) ?? letter;
        if (known !== letter) this.violations.push(`${known} and ${letter} lead ${String(term)}`);
        this.#leaderByTerm.set(term, letter);
      }
      this.#highestCommitted = Math.max(this.#highestCommitted, state.commitIndex);
      this.#observeCommitted(letter, state.commitIndex);
    }
  }

  #observeCommitted(letter: string, commitIndex: LogIndex): void {
    const { log } = this.cluster.state(letter);
    const oldest = Math.max(0, commitIndex - LOOKS_BACK_ENTRIES);
    for (let index = commitIndex; index > oldest; index = previous(index)) {
      const term = log.termAt(index);
      if (term === undefined) return;
      const known = this.#committedTerms.get(index);
      if (known !== undefined && known !== term) {
        this.violations.push(`${letter} has another entry ${String(index)} committed`);
      }
      this.#committedTerms.set(index, term);
    }
  }

  #isServed(): boolean {
    return this.cluster.leaders().some((letter) => {
      const before = this.cluster.state(letter).commitIndex;
      this.cluster.propose(letter, 'last');
      this.#pass(300);
      return this.cluster.state(letter).commitIndex > before;
    });
  }

  #chance(): number {
    return this.#prng.next();
  }

  #happens(share: number): boolean {
    return this.#chance() < share;
  }

  #below(limit: number): number {
    return Math.floor(this.#chance() * limit);
  }

  #one(letters: readonly string[]): string | undefined {
    return letters[this.#below(letters.length)];
  }

  #some(letters: readonly string[], share: number): readonly string[] {
    return letters.filter(() => this.#happens(share));
  }
}
