import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Ticket } from '../../../../server/raft/core/event.ts';
import type { Message } from '../../../../server/raft/core/message.ts';
import { CoreCluster, letterOf, peer } from '../../../support/core-cluster.ts';

type Step = 'read' | 'write' | 'wait' | 'deliver' | 'lose' | 'repeat' | 'deliverLast';

const steps = fc.array(
  fc
    .constantFrom<Step>('read', 'read', 'write', 'wait', 'deliver', 'deliver', 'lose', 'repeat')
    .chain((step) => fc.constantFrom<Step>(step, step, step, 'deliverLast')),
  { minLength: 10, maxLength: 120 },
);

type WaitingRead = {
  readonly ticket: Ticket;
  /** Rounds up to here started before the read came. */
  readonly roundsBefore: number;
  readonly committedBefore: number;
};

/** A leader whose messages travel one at a time, as the plan says, and what it answers. */
class ReadRun {
  readonly cluster = new CoreCluster('abc');
  readonly #reads: WaitingRead[] = [];
  /** The highest round that each follower has echoed to the leader. */
  readonly #echoed = new Map<string, number>();
  readonly #sentAt = new Map<number, number>();

  constructor() {
    this.cluster.elect('a');
    this.cluster.run(200);
  }

  perform(step: Step): void {
    const { cluster } = this;
    const { messages } = cluster;
    switch (step) {
      case 'read': {
        const roundsBefore = cluster.leaderOf('a').round;
        const committedBefore = cluster.state('a').commitIndex;
        this.#reads.push({ ticket: cluster.read('a'), roundsBefore, committedBefore });
        break;
      }
      case 'write':
        cluster.propose('a', 'x');
        break;
      case 'wait':
        cluster.now += 50;
        cluster.tick('a');
        break;
      case 'deliver':
        this.#receive(messages.shift());
        break;
      case 'deliverLast':
        this.#receive(messages.pop());
        break;
      case 'lose':
        messages.shift();
        break;
      case 'repeat':
        messages.push(...messages.slice(0, 1));
        break;
    }
    this.#noteRounds();
    this.#checkAnswers();
  }

  /** Nothing is lost any more: every read gets its answer. */
  finish(): void {
    this.cluster.run(500);
    for (const { ticket } of this.#reads) {
      expect(this.cluster.answers.get(ticket)).toMatchObject({ type: 'read' });
    }
  }

  #receive(message: Message | undefined): void {
    if (message === undefined) return;
    if (message.type === 'heartbeatResponse') {
      const from = letterOf(message.from);
      this.#echoed.set(from, Math.max(this.#echoed.get(from) ?? 0, message.round));
    }
    this.cluster.receive(message);
  }

  /** A round belongs to one moment for good. */
  #noteRounds(): void {
    for (const { round, sentAt } of this.cluster.leaderOf('a').rounds) {
      expect(this.#sentAt.get(round) ?? sentAt).toBe(sentAt);
      this.#sentAt.set(round, sentAt);
    }
  }

  #checkAnswers(): void {
    const confirmed = Math.max(...this.#echoed.values(), 0);
    for (const { ticket, roundsBefore, committedBefore } of this.#reads) {
      const answer = this.cluster.answers.get(ticket);
      if (answer === undefined) continue;
      expect(answer).toMatchObject({ type: 'read' });
      expect(confirmed).toBeGreaterThan(roundsBefore);
      expect('index' in answer && answer.index).toBeGreaterThanOrEqual(committedBefore);
    }
  }
}

describe('reads', () => {
  it('are answered by a round that began after them, whatever is lost, repeated or late', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const run = new ReadRun();
        for (const step of plan) run.perform(step);
        run.finish();
      }),
    );
  });

  it('that are asked again get a round of their own: an id is never used twice', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(200);
    const rounds: number[] = [];
    cluster.deliver = (message) => {
      if (message.type === 'heartbeatRequest' && message.to === peer('b'))
        rounds.push(message.round);
      return false;
    };
    for (let attempt = 0; attempt < 3; attempt++) {
      cluster.read('a');
      cluster.settle();
    }
    expect(rounds).toHaveLength(3);
    expect(new Set(rounds).size).toBe(3);
  });

  it('beyond four rounds under way share the next one', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.run(200);
    const before = cluster.leaderOf('a').round;
    const tickets = Array.from({ length: 100 }, () => cluster.read('a'));
    expect(cluster.leaderOf('a').round).toBe(before + 4);
    cluster.settle();
    expect(cluster.leaderOf('a').round).toBe(before + 5);
    for (const ticket of tickets) {
      expect(cluster.answers.get(ticket)).toMatchObject({ type: 'read' });
    }
  });

  it('wait in few rounds while the followers are silent, and none is forgotten', () => {
    const cluster = new CoreCluster('abc', { core: { electionTimeoutMs: 100_000 } });
    cluster.elect('a');
    cluster.settle();
    cluster.isolate('a');
    const tickets = [cluster.read('a'), cluster.read('a')];
    for (let beat = 0; beat < 200; beat++) {
      cluster.now += 400;
      cluster.tick('a');
    }
    expect(cluster.leaderOf('a').rounds.length).toBeLessThanOrEqual(64);
    cluster.heal();
    cluster.now += 10_000;
    cluster.tick('a');
    cluster.settle();
    for (const ticket of tickets) {
      expect(cluster.answers.get(ticket)).toMatchObject({ type: 'read' });
    }
  });

  it('in joint consensus need both majorities', () => {
    const cluster = new CoreCluster('abc', { joining: ['d', 'e'] });
    cluster.elect('a');
    cluster.run(300);
    const voters = new Set('ade'.split('').map(peer));
    cluster.change('a', { target: { type: 'changeVoters', voters } });
    const isJoint = (): boolean =>
      cluster.state('a').configurations.latest().configuration.outgoing !== undefined;
    cluster.deliver = ({ to, from }) =>
      !isJoint() || ![to, from].some((id) => 'de'.includes(letterOf(id)));
    cluster.settle();
    expect(isJoint()).toBe(true);
    const ticket = cluster.read('a');
    cluster.settle();
    expect(cluster.answers.get(ticket)).toBeUndefined();
    cluster.heal();
    cluster.run(300);
    expect(cluster.answers.get(ticket)).toMatchObject({ type: 'read' });
  });

  it('of a leader that steps down are refused, and certainly had no effect', () => {
    const cluster = new CoreCluster('abc');
    cluster.elect('a');
    cluster.isolate('a');
    const tickets = Array.from({ length: 10 }, () => cluster.read('a'));
    cluster.run(1_500);
    const refusal = { code: 'EPERM', outcome: 'notProposed' };
    for (const ticket of tickets) {
      expect(cluster.answers.get(ticket)).toMatchObject({ type: 'refused', refusal });
    }
  });
});
