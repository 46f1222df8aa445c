import { describe, expect, it } from '@jest/globals';
import { encodeBatch } from '../../../server/atomic/command.ts';
import { SelfCheck } from '../../../server/atomic/self-check.ts';
import { AtomicStateMachine } from '../../../server/atomic/state-machine.ts';
import { silentLogger, systemClock, type PeerId } from '../../../server/raft/index.ts';
import { FakeAtomicNode, OTHER, applyData, peer } from '../../support/atomic-node.ts';
import { writes } from '../../support/atomic-writes.ts';

const THIRD = peer('127.0.0.1:22002');

class Group {
  readonly leader = new FakeAtomicNode(new AtomicStateMachine());
  readonly second = new AtomicStateMachine();
  readonly third = new AtomicStateMachine();
  /** Members that do not answer. */
  readonly silent = new Set<PeerId>();
  readonly check: SelfCheck;

  constructor() {
    this.leader.voters = [this.leader.peer, OTHER, THIRD];
    this.leader.followers.push(this.second, this.third);
    this.check = new SelfCheck({
      ...{ node: this.leader, stateMachine: this.leader.machine },
      ...{ clock: systemClock, logger: silentLogger, retryMs: 0, attemptsMax: 2 },
      fetchHash: (member, index) => {
        if (this.silent.has(member)) return Promise.reject(new Error('no answer'));
        const machine = member === OTHER ? this.second : this.third;
        return Promise.resolve(machine.checkpoints.hashAt(index));
      },
    });
  }

  async write(value: bigint): Promise<void> {
    await this.leader.apply({ data: encodeBatch([writes([['exchange', 1n, value]])]) });
  }
}

/** Changes one counter behind the log's back. */
function damage(machine: AtomicStateMachine): void {
  machine.state.counters.set(1n, 666n);
}

describe('SelfCheck', () => {
  it('finds equal members equal, and rests until something is written', async () => {
    const group = new Group();
    await group.write(5n);
    expect(await group.check.run()).toMatchObject({ type: 'judged', index: 2, differing: [] });
    expect(await group.check.run()).toEqual({ type: 'skipped', reason: 'unchanged' });
    await group.write(6n);
    expect(await group.check.run()).toMatchObject({ type: 'judged', index: 5 });
  });

  it('names a member that differs', async () => {
    const group = new Group();
    await group.write(5n);
    damage(group.third);
    expect(await group.check.run()).toMatchObject({ type: 'judged', differing: [THIRD] });
  });

  it('stops a leader that differs', async () => {
    const group = new Group();
    await group.write(5n);
    damage(group.leader.machine);
    await expect(group.check.run()).rejects.toThrow(/index 2 differs from that of the majority/);
  });

  it('stops a member that could not be asked, by the verdict in the log', async () => {
    const group = new Group();
    await group.write(5n);
    damage(group.third);
    group.silent.add(THIRD);
    expect(await group.check.run()).toMatchObject({ type: 'judged', differing: [] });
    const verdict = group.leader.proposed.at(-1)?.data ?? new Uint8Array(0);
    expect(applyData(group.third, 4, verdict)).toMatch(/index 2 differs from that of the majority/);
    expect(applyData(group.second, 4, verdict)).toBeUndefined();
  });

  it('judges nobody without a majority', async () => {
    const group = new Group();
    await group.write(5n);
    group.silent.add(OTHER).add(THIRD);
    expect(await group.check.run()).toEqual({ type: 'noMajority', index: 2 });
  });

  it('leaves a member alone that has no hash of the checkpoint', async () => {
    const group = new Group();
    await group.write(5n);
    await group.check.run();
    const verdict = group.leader.proposed.at(-1)?.data ?? new Uint8Array(0);
    expect(applyData(new AtomicStateMachine(), 3, verdict)).toBeUndefined();
  });

  it('does nothing on a follower', async () => {
    const group = new Group();
    await group.write(5n);
    group.leader.stepDown(OTHER);
    expect(await group.check.run()).toEqual({ type: 'skipped', reason: 'notLeader' });
  });
});
