import { describe, expect, it } from '@jest/globals';
import { Lineage, LogIndex, Term } from '../../server/raft/core/ids.ts';
import type { ResetPlan } from '../../server/raft/node/planned-reset.ts';
import { peer } from '../support/core-cluster.ts';
import type { Member, NodeGroup } from '../support/node-group.ts';
import { nodeGroups } from '../support/node-groups.ts';

const { started } = nodeGroups();
const HASH = 'plan-1';
const LINEAGE = Lineage('second');

/** Five members of which a and b are left, and what was acknowledged before. */
async function survivorsOfFive(): Promise<NodeGroup> {
  const nodes = await started('abcde');
  await nodes.apply(await nodes.leader(), 'kept');
  await nodes.clock.advance(500);
  for (const letter of 'cde') await nodes.member(letter).node.shutdown();
  await nodes.clock.advance(5_000);
  return nodes;
}

/** A plan for `letters`, as it fits the member. */
function planFor({ node }: Member, letters = 'ab', changes: Partial<ResetPlan> = {}): ResetPlan {
  const { identity, lastIndex, lastTerm, term } = node.status();
  const { incarnation, lineage } = identity;
  if (lineage === undefined) throw new Error('a member of a group has a lineage');
  return {
    planHash: HASH,
    lineage: LINEAGE,
    voters: new Set(letters.split('').map(peer)),
    term: Term(term + 10),
    expected: { incarnation, lineage, lastLog: { term: lastTerm, index: lastIndex } },
    ...changes,
  };
}

async function prepare(nodes: NodeGroup, letters = 'ab'): Promise<void> {
  for (const letter of letters) {
    const member = nodes.member(letter);
    await nodes.during(member.node.prepareReset(planFor(member, letters)));
  }
}

async function commit(nodes: NodeGroup, letters = 'ab'): Promise<void> {
  for (const letter of letters) await nodes.during(nodes.member(letter).node.commitReset(HASH));
}

/** The leader among `letters`. */
async function leaderOf(nodes: NodeGroup, letters = 'ab'): Promise<Member> {
  return nodes.leader('abcde'.replaceAll(new RegExp(`[${letters}]`, 'g'), ''));
}

describe('a planned reset', () => {
  it('brings two survivors of five back with all that they hold, in the new lineage', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    await commit(nodes);
    const leader = await leaderOf(nodes);
    await nodes.apply(leader, 'more');
    await nodes.clock.advance(500);
    for (const letter of 'ab') {
      const { node, machine } = nodes.member(letter);
      expect(machine.texts).toEqual(['kept', 'more']);
      expect(node.status().identity.lineage).toBe(LINEAGE);
    }
  });

  it('keeps a prepared disk as it is: no leader of the old majority reaches it', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    const before = nodes.member('a').node.status();
    for (const letter of 'cde') await nodes.start(letter, { disk: nodes.member(letter).disk });
    const old = await nodes.leader('ab');
    await nodes.apply(old, 'by the old majority');
    await nodes.clock.advance(5_000);
    for (const letter of 'ab') {
      const { node, machine } = nodes.member(letter);
      expect(machine.texts).toEqual(['kept']);
      expect(node.status()).toMatchObject({ term: before.term, lastIndex: before.lastIndex });
    }
  });

  it('ends in one group of each lineage, never in a mixed log, when the dead return', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    await commit(nodes, 'a');
    for (const letter of 'cde') await nodes.start(letter, { disk: nodes.member(letter).disk });
    await nodes.apply(await nodes.leader('ab'), 'old');
    await nodes.during(nodes.member('b').node.commitReset(HASH));
    await nodes.apply(await leaderOf(nodes), 'new');
    await nodes.clock.advance(5_000);
    for (const letter of 'ab') expect(nodes.member(letter).machine.texts).toEqual(['kept', 'new']);
    for (const letter of 'cde') {
      expect(nodes.member(letter).machine.texts).toEqual(['kept', 'old']);
    }
  });

  it.each([
    ['prepared', async (nodes: NodeGroup) => prepare(nodes)],
    [
      'committed',
      async (nodes: NodeGroup) => {
        await prepare(nodes);
        await commit(nodes, 'ab');
      },
    ],
  ])('that is %s outlives a crash', async (_, bring) => {
    const nodes = await survivorsOfFive();
    await bring(nodes);
    for (const letter of 'ab') await nodes.restart(letter);
    await nodes.clock.advance(5_000);
    await commit(nodes);
    const leader = await leaderOf(nodes);
    await nodes.apply(leader, 'more');
    expect(leader.machine.texts).toEqual(['kept', 'more']);
  });

  it('may be repeated, each half', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    await prepare(nodes);
    await commit(nodes);
    await commit(nodes);
    await nodes.apply(await leaderOf(nodes), 'more');
  });

  it.each(['prepared', 'committed'])(
    'that is %s on one survivor can be undone: the old group goes on with it',
    async (phase) => {
      const nodes = await survivorsOfFive();
      await prepare(nodes);
      if (phase === 'committed') await commit(nodes, 'a');
      for (const letter of 'ab') await nodes.during(nodes.member(letter).node.undoReset(HASH));
      await nodes.restart('a');
      await nodes.start('c', { disk: nodes.member('c').disk });
      const leader = await leaderOf(nodes, 'abc');
      await nodes.apply(leader, 'more');
      await nodes.clock.advance(500);
      for (const letter of 'abc') {
        expect(nodes.member(letter).machine.texts).toEqual(['kept', 'more']);
      }
    },
  );

  it('cannot be undone once the new history has an entry', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    await commit(nodes);
    await leaderOf(nodes);
    for (const letter of 'ab') {
      const undo = nodes.during(nodes.member(letter).node.undoReset(HASH));
      await expect(undo).rejects.toMatchObject({ code: 'EPERM' });
    }
    await nodes.apply(await leaderOf(nodes), 'more');
  });

  it('is refused while the group has a leader', async () => {
    const nodes = await started('abc');
    const leader = await nodes.leader();
    await nodes.clock.advance(500);
    const follower = nodes.follower(leader);
    const plan = planFor(follower, follower.letter);
    await expect(nodes.during(follower.node.prepareReset(plan))).rejects.toMatchObject({
      code: 'EPERM',
    });
    await nodes.apply(leader, 'undisturbed');
  });

  it('is refused, and changes nothing, when the disk is not as the plan found it', async () => {
    const nodes = await survivorsOfFive();
    const member = nodes.member('a');
    const { node } = member;
    const plan = planFor(member);
    const { expected } = plan;
    const last = { ...expected.lastLog, index: LogIndex(expected.lastLog.index + 1) };
    const wrong: readonly (readonly [Partial<ResetPlan>, string])[] = [
      [{ expected: { ...expected, lineage: LINEAGE } }, 'ESTALE'],
      [
        {
          expected: {
            ...expected,
            incarnation: nodes.member('b').node.status().identity.incarnation,
          },
        },
        'ESTALE',
      ],
      [{ expected: { ...expected, lastLog: last } }, 'ESTALE'],
      [{ term: node.status().term }, 'ESTALE'],
      [{ lineage: expected.lineage }, 'EINVAL'],
      [{ voters: new Set([peer('b')]) }, 'EINVAL'],
      [{ voters: new Set(['a', 'b', 'c', 'd', 'e'].map(peer)) }, 'EINVAL'],
      [{ planHash: '' }, 'EINVAL'],
    ];
    for (const [changes, code] of wrong) {
      const refused = nodes.during(node.prepareReset({ ...plan, ...changes }));
      await expect(refused).rejects.toMatchObject({ code });
    }
    await expect(node.commitReset(HASH)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(node.undoReset(HASH)).rejects.toMatchObject({ code: 'ENOENT' });
    await nodes.start('c', { disk: nodes.member('c').disk });
    await nodes.apply(await leaderOf(nodes, 'abc'), 'undisturbed');
  });

  it('is refused beside another plan, and so is a plain reset', async () => {
    const nodes = await survivorsOfFive();
    await prepare(nodes);
    const member = nodes.member('a');
    const another = planFor(member, 'ab', { planHash: 'plan-2' });
    const { node } = member;
    await expect(node.prepareReset(another)).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(node.resetPeers(new Set([peer('a')]))).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(node.commitReset('plan-2')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
