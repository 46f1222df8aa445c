import { describe, expect, it } from '@jest/globals';
import { atomicClusterSpecSchema } from '../../../../operator/api/atomic-cluster.ts';
import { ordinalOf, ordinalOfPeer, peerId } from '../../../../operator/resources/names.ts';
import { disruptionBudget } from '../../../../operator/resources/protection.ts';
import {
  podTemplate,
  statefulSet,
  templateHash,
} from '../../../../operator/resources/stateful-set.ts';

const CLUSTER = { namespace: 'demo', name: 'counters' };
const OWNER = { apiVersion: 'v1', kind: 'x', name: 'counters', uid: 'u' };

const source = (spec: object = {}, image = 'atomicraft:1.0.0') => ({
  ...{ ...CLUSTER, image },
  spec: atomicClusterSpecSchema.parse(spec),
});

describe('the pod template', () => {
  it('is the same for the same spec as in the release before: an upgrade restarts nobody', () => {
    // Whoever changes this value makes every cluster roll when its operator is upgraded.
    expect(templateHash(podTemplate(source()))).toBe('a3885ed98bf90bb3');
  });

  it.each([
    ['replicas', { replicas: 5 }],
    ['the size of volumes', { storage: { size: '2Gi' } }],
    ['how long volumes are kept', { storage: { retention: { quarantineTTL: '1h' } } }],
    ['hibernation', { hibernate: true }],
  ])('does not change with %s', (_name, spec) => {
    expect(templateHash(podTemplate(source(spec)))).toBe(templateHash(podTemplate(source())));
  });

  it.each([
    ['the election timeout', { raft: { electionTimeout: '2s' } }],
    ['resources', { pod: { resources: { requests: { cpu: '1' } } } }],
    ['labels of pods', { pod: { labels: { team: 'a' } } }],
  ])('changes with %s', (_name, spec) => {
    expect(templateHash(podTemplate(source(spec)))).not.toBe(templateHash(podTemplate(source())));
  });

  it('keeps its own labels whatever labels a spec gives', () => {
    const labels = { 'atomicraft.dev/cluster': 'other' };
    const template = podTemplate(source({ pod: { labels } }));
    expect(template.metadata.labels['atomicraft.dev/cluster']).toBe('counters');
  });
});

describe('the StatefulSet', () => {
  it('never says how many replicas there are: applying it must not start or stop a pod', () => {
    const from = source({ replicas: 5 });
    const object = statefulSet(from, podTemplate(from), {
      ...{ hash: 'h', owner: OWNER, claimSize: '1Gi' },
    });
    expect(object.spec).not.toHaveProperty('replicas');
    expect(object.spec).toMatchObject({
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    });
  });
});

describe('the disruption budget', () => {
  it.each([
    [1, 1, 0],
    [2, 2, 2],
    [3, 3, 2],
    [4, 4, 3],
    [5, 5, 3],
    [9, 9, 5],
    [1, 3, 0],
    [2, 3, 2],
    [3, 4, 2],
    [3, 5, 2],
    [5, 9, 4],
    [5, 3, 3],
  ])('of %d voters that are to be %d keeps %d', (voters, replicas, kept) => {
    const budget = disruptionBudget(CLUSTER, { voters, replicas }, OWNER);
    expect(budget.spec['minAvailable']).toBe(kept);
  });
});

describe('names', () => {
  it('lead from an ordinal to a peer id and back', () => {
    for (const ordinal of [0, 9, 10, 123]) {
      expect(ordinalOfPeer(CLUSTER, peerId(CLUSTER, ordinal))).toBe(ordinal);
    }
  });

  it.each([
    'other-0.demo.svc:8100:0:0',
    'counters-0.elsewhere.svc:8100:0:0',
    'counters-0.demo.svc:8101:0:0',
    'counters-x.demo.svc:8100:0:0',
    '10.0.0.1:8100:0:0',
  ])('of strangers lead to no ordinal: %s', (peer) => {
    expect(ordinalOfPeer(CLUSTER, peer)).toBeUndefined();
  });

  it.each([
    ['counters-0', 0],
    ['counters-10', 10],
    ['counters-01', undefined],
    ['counters-leader', undefined],
    ['counters-', undefined],
    ['other-0', undefined],
  ])('of pods: %s', (name, ordinal) => {
    expect(ordinalOf('counters', name)).toBe(ordinal);
  });
});
