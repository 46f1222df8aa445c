import { describe, expect, it } from '@jest/globals';
import type {
  ClaimObject,
  ClusterObjects,
  PodObject,
  StatefulSetObject,
} from '../../../../operator/cluster/kubernetes-objects.ts';
import {
  claimView,
  podView,
  statefulSetView,
} from '../../../../operator/cluster/kubernetes-view.ts';
import { observe } from '../../../../operator/cluster/observe.ts';
import { Replicas, type Replica } from '../../../../operator/cluster/replicas.ts';
import { peerId } from '../../../../operator/resources/names.ts';
import { GetStatusResponse } from '../../../../proto/gen/raft/v1/cli.ts';

const CLUSTER = { namespace: 'demo', name: 'c' };
const NOTHING: ClusterObjects = {
  ...{ cluster: { metadata: CLUSTER }, statefulSet: undefined, pods: [], claims: [] },
  ...{ volumes: undefined, nodes: undefined },
};
const NOW = new Date('2030-01-01T00:00:00Z');
const STOPPED = 'does not answer';

type Answer = Partial<GetStatusResponse> | typeof STOPPED;

/** Pod `c-N` has the address `N`; `answers` and `confirmations` are what its server says. */
async function groupSeen(
  answers: readonly Answer[],
  confirmations: Readonly<Record<number, Answer>>,
) {
  const answerOf = (answer: Answer | undefined): Promise<GetStatusResponse> =>
    answer === undefined || answer === STOPPED
      ? Promise.reject(new Error('silence'))
      : Promise.resolve(GetStatusResponse.fromPartial(answer));
  const connect = (address: string): Replica => {
    const at = Number(address.split(':')[0]);
    const status: Replica['status'] = ({ linearizable }) =>
      answerOf(linearizable ? confirmations[at] : answers[at]);
    return { status, [Symbol.dispose]: () => undefined } as Replica;
  };
  const pods = answers.map((_, at): PodObject => ({
    metadata: { ...CLUSTER, name: `c-${String(at)}` },
    status: { phase: 'Running', podIP: String(at) },
  }));
  const { group } = await observe(
    { ...NOTHING, pods },
    {
      ...{ replicas: new Replicas(connect), fence: undefined, monitored: undefined },
      ...{ growthRefused: () => undefined, image: () => 'servers:1', now: NOW },
    },
  );
  return group;
}

const says = (ordinal: number, state: string, term: number): Answer => ({
  ...{ peerId: peerId(CLUSTER, ordinal), state, term, peers: [peerId(CLUSTER, ordinal)] },
});

describe('the leader', () => {
  const twoLeaders = [says(0, 'LEADER', 3), says(1, 'LEADER', 5), says(2, 'FOLLOWER', 5)];

  it('is the one of the highest term, as it says once a quorum has confirmed it', async () => {
    const group = await groupSeen(twoLeaders, {
      ...{ 0: says(0, 'LEADER', 3), 1: says(1, 'LEADER', 6) },
    });
    expect(group).toMatchObject({ leader: 1, term: 6 });
  });

  it.each([
    ['no quorum confirms it', { 0: says(0, 'LEADER', 3), 1: STOPPED }],
    ['another server has its address by now', { 1: says(2, 'LEADER', 6) }],
  ] as const)('is nobody when %s', async (_, confirmations) => {
    expect(await groupSeen(twoLeaders, confirmations)).toBeUndefined();
  });

  it('is nobody when only followers answer', async () => {
    const group = await groupSeen([says(0, 'FOLLOWER', 3), STOPPED], { 0: says(0, 'LEADER', 3) });
    expect(group).toBeUndefined();
  });
});

describe('a pod', () => {
  const ending = (late: number) => {
    const deletionTimestamp = new Date(NOW.getTime() - late).toISOString();
    return podView('c', { metadata: { ...CLUSTER, name: 'c-1', deletionTimestamp } }, NOW)?.trouble;
  };

  it('that does not end in its time is told of, with what a person can do', () => {
    expect(ending(29_000)).toBeUndefined();
    expect(ending(30_000)).toContain('out-of-service');
  });
});

describe('a claim', () => {
  it.each([
    ['Bound', false],
    ['Lost', true],
  ])('that is %s: lost is %s', (phase, lost) => {
    const claim: ClaimObject = { metadata: { ...CLUSTER, name: 'data-c-1' }, status: { phase } };
    const objects = { ...NOTHING, claims: [claim] };
    expect(claimView(objects, claim)).toMatchObject({ ordinal: 1, lost });
  });
});

describe('the revision of the pods to come', () => {
  const set: StatefulSetObject = { metadata: { ...CLUSTER, generation: 2 } };

  it('is known only once the controller has seen the newest template', () => {
    const status = (observedGeneration: number) => ({ observedGeneration, updateRevision: 'c-2' });
    expect(statefulSetView({ ...set, status: status(1) })?.updateRevision).toBeUndefined();
    expect(statefulSetView({ ...set, status: status(2) })?.updateRevision).toBe('c-2');
    expect(statefulSetView(set)?.updateRevision).toBeUndefined();
  });
});
