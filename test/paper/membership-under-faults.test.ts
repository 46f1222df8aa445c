import { describe, expect, it } from '@jest/globals';
import { createPrng, type Prng } from '../../server/raft/core/prng.ts';
import { CoreCluster, letterOf, peer, saveSnapshot } from '../support/core-cluster.ts';

const LETTERS = 'abcdef'.split('');
const STEPS = 40;

/** A group that changes its members, its leader among them, while messages are lost and nodes crash. */
class MembershipRun {
  readonly cluster: CoreCluster;
  readonly leaders = new Map<number, string>();
  readonly #prng: Prng;
  #loss = 0;
  #cut: readonly string[] = [];

  constructor(seed: number) {
    this.#prng = createPrng(seed);
    const size = 2 + this.#below(3);
    const joining = LETTERS.slice(size);
    this.cluster = new CoreCluster(LETTERS.slice(0, size).join(''), { seed, joining });
    this.cluster.deliver = ({ from, to }) => {
      const [inside, alsoInside] = [from, to].map((id) => this.#cut.includes(letterOf(id)));
      return inside === alsoInside && this.#chance() >= this.#loss;
    };
  }

  run(): void {
    this.cluster.run(3_000);
    for (let step = 0; step < STEPS; step++) {
      this.#act();
      this.cluster.run(10 + 10 * this.#below(40));
      this.#noteLeaders();
    }
    this.#loss = 0;
    this.#cut = [];
    this.cluster.run(15_000);
  }

  /** Does the leader commit what it is given now? */
  isServed(): boolean {
    return this.cluster.leaders().some((letter) => {
      const before = this.cluster.state(letter).commitIndex;
      this.cluster.propose(letter, 'last');
      this.cluster.run(300);
      return this.cluster.state(letter).commitIndex > before;
    });
  }

  #act(): void {
    const { cluster } = this;
    const leader = this.#one(cluster.leaders());
    const kind = this.#chance();
    if (kind < 0.15) this.#loss = Math.max(0, this.#chance() - 0.4);
    else if (kind < 0.25) this.#cut = this.#some(LETTERS, 0.3);
    else if (kind < 0.45) this.#crash();
    else if (leader === undefined) return;
    else if (kind < 0.55) this.#removeLeader(leader);
    else if (kind < 0.7) this.#changeVoters(leader);
    else if (kind < 0.75) cluster.transfer(leader, undefined);
    else if (kind < 0.8) saveSnapshot(cluster, leader);
    else cluster.propose(leader, `at ${String(cluster.now)}`);
  }

  #crash(): void {
    const letter = this.#one(LETTERS) ?? 'a';
    if (this.cluster.state(letter).joined) this.cluster.restart(letter);
  }

  #removeLeader(leader: string): void {
    this.cluster.change(leader, { target: { type: 'removeVoter', peer: peer(leader) } });
  }

  #changeVoters(leader: string): void {
    const voters = new Set(this.#some(LETTERS, 0.5).map(peer));
    this.cluster.change(leader, { target: { type: 'changeVoters', voters } });
  }

  #noteLeaders(): void {
    for (const letter of this.cluster.leaders()) {
      const { term } = this.cluster.state(letter).hardState;
      expect(this.leaders.get(term) ?? letter).toBe(letter);
      this.leaders.set(term, letter);
    }
  }

  #chance(): number {
    return this.#prng.next();
  }

  #below(limit: number): number {
    return Math.floor(this.#chance() * limit);
  }

  #one(letters: readonly string[]): string | undefined {
    return letters[this.#below(letters.length)];
  }

  #some(letters: readonly string[], share: number): readonly string[] {
    return letters.filter(() => this.#chance() < share);
  }
}

describe('dissertation §4: members and leaders change while messages are lost and nodes crash', () => {
  const seeds = Array.from({ length: 100 }, (_, position) => position + 1);

  it.each(seeds)('seed %i: one leader a term, equal logs, and service in the end', (seed) => {
    const run = new MembershipRun(seed);
    run.run();
    expect(run.isServed()).toBe(true);
    const { cluster } = run;
    const [leader = 'nobody'] = cluster.leaders();
    const { configuration } = cluster.state(leader).configurations.latest();
    for (const voter of configuration.voters) {
      const [theirs, its] = [cluster.state(letterOf(voter)), cluster.state(leader)];
      expect(theirs.log.lastId()).toEqual(its.log.lastId());
    }
    for (const { state } of cluster.nodes.values()) {
      const term = state.log.termAt(state.commitIndex);
      expect(cluster.state(leader).log.termAt(state.commitIndex) ?? term).toBe(term);
    }
  });
});
