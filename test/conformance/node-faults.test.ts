import { describe, expect, it } from '@jest/globals';
import { createPrng } from '../../server/raft/core/prng.ts';
import { NodeGroup, type Member } from '../support/node-group.ts';

const STEPS = 60;

/** Drives a group through random faults while it is written to, and remembers what was promised. */
class FaultRun {
  readonly acknowledged = new Set<string>();
  readonly leaders = new Map<number, string>();
  readonly #group: NodeGroup;
  readonly #random: () => number;
  readonly #down = new Set<string>();
  #written = 0;

  constructor(group: NodeGroup, seed: number) {
    this.#group = group;
    const prng = createPrng(seed);
    this.#random = () => prng.next();
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#fault();
      this.#write();
      await this.#group.clock.advance(50 + Math.floor(this.#random() * 400));
      this.#noteLeaders();
    }
    this.#group.heal();
    for (const letter of this.#down) await this.#start(letter);
    await this.#group.leader();
    await this.#group.clock.advance(5_000);
  }

  async #fault(): Promise<void> {
    const letter = 'abc'[Math.floor(this.#random() * 3)] ?? 'a';
    const kind = this.#random();
    if (kind < 0.12) this.#group.isolate(letter);
    else if (kind < 0.3) this.#group.heal();
    else if (kind < 0.4) this.#loseSome();
    else if (kind < 0.55) await this.#crash(letter);
    else if (kind < 0.7 && this.#down.has(letter)) await this.#start(letter);
    else if (kind < 0.75) this.#ask((member) => member.node.snapshot());
    else if (kind < 0.8) this.#ask((member) => member.node.transferLeadershipTo('any'));
  }

  async #crash(letter: string): Promise<void> {
    if (this.#down.size >= 2 || this.#down.has(letter)) return;
    const { node, disk } = this.#group.member(letter);
    disk.crash(this.#random);
    // Its disk operations never end: the process is gone as far as it can tell.
    void node.shutdown();
    this.#down.add(letter);
    await this.#group.clock.advance(10);
  }

  async #start(letter: string): Promise<void> {
    const { disk } = this.#group.member(letter);
    await this.#group.start(letter, { disk });
    this.#down.delete(letter);
  }

  #loseSome(): void {
    this.#group.network.deliver = () => this.#random() > 0.2;
  }

  #ask(request: (member: Member) => Promise<unknown>): void {
    for (const member of this.#up()) {
      if (!member.node.isLeader()) continue;
      request(member).catch(() => undefined);
    }
  }

  #write(): void {
    for (const { node } of this.#up()) {
      if (!node.isLeader()) continue;
      for (let i = 0; i < 3; i++) {
        const text = `write ${String(++this.#written)}`;
        node.apply({ data: new TextEncoder().encode(text) }).then(
          () => this.acknowledged.add(text),
          () => undefined,
        );
      }
    }
  }

  #noteLeaders(): void {
    for (const { node, letter } of this.#up()) {
      if (!node.isLeader()) continue;
      const { term } = node.status();
      const known = this.leaders.get(term) ?? letter;
      expect(letter).toBe(known);
      this.leaders.set(term, letter);
    }
  }

  #up(): Member[] {
    return [...this.#group.members.values()].filter(({ letter }) => !this.#down.has(letter));
  }
}

describe('three nodes under crashes, partitions, losses, transfers and snapshots', () => {
  const seeds = Array.from({ length: 20 }, (_, position) => position + 1);
  it.each(seeds)(
    'seed %i: one leader a term, equal states, nothing acknowledged is lost',
    async (seed) => {
      const group = new NodeGroup('abc', { snapshotLogBytes: 600 });
      await group.startAll();
      const run = new FaultRun(group, seed);
      await run.run();
      const states = [...group.members.values()].map(({ machine }) => machine.texts);
      const [first = []] = states;
      for (const state of states) expect(state).toEqual(first);
      expect(new Set(first).size).toBe(first.length);
      for (const text of run.acknowledged) expect(first).toContain(text);
      expect(run.acknowledged.size).toBeGreaterThan(0);
      await group.shutdown();
    },
  );
});
