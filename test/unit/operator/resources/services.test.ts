import { describe, expect, it } from '@jest/globals';
import { services } from '../../../../operator/resources/services.ts';
import { spec } from '../../../support/operator/observed.ts';

const owner = { apiVersion: 'atomicraft.dev/v1alpha1', kind: 'AtomicCluster', name: 'c', uid: 'u' };

function made(input: object = {}) {
  const cluster = { namespace: 'demo', name: 'c', spec: spec(input) };
  const objects = services(cluster, { members: 2, owner });
  return new Map(objects.map((object) => [object.metadata.name, object]));
}

const OF_CLUSTER = {
  'app.kubernetes.io/name': 'atomicraft',
  'app.kubernetes.io/instance': 'c',
  'atomicraft.dev/cluster': 'c',
};

describe('the Services of a cluster', () => {
  it('are one for each member and four more, all owned by it', () => {
    const all = made();
    expect([...all.keys()].sort()).toEqual(['c', 'c-0', 'c-1', 'c-leader', 'c-peer', 'c-read']);
    for (const { metadata } of all.values()) {
      expect(metadata.namespace).toBe('demo');
      expect(metadata.ownerReferences).toEqual([owner]);
    }
  });

  it.each([
    ['c', {}],
    ['c-peer', {}],
    ['c-leader', { 'atomicraft.dev/role': 'leader' }],
    ['c-read', { 'atomicraft.dev/role': 'follower' }],
    ['c-1', { 'statefulset.kubernetes.io/pod-name': 'c-1' }],
  ])('select by labels that pods have: %s', (name, more) => {
    expect(made().get(name)?.spec['selector']).toEqual({ ...OF_CLUSTER, ...more });
  });

  it('lead clients only to pods that are ready, and peers to all', () => {
    const early = [...made()].filter(([, { spec: of }]) => of['publishNotReadyAddresses'] === true);
    expect(early.map(([name]) => name).sort()).toEqual(['c-0', 'c-1', 'c-peer']);
  });

  it('have the type and the annotations of the spec for clients alone', () => {
    const service = { type: 'LoadBalancer', annotations: { pool: 'inner' } };
    for (const [name, { metadata, spec: of }] of made({ service })) {
      const isForClients = name === 'c';
      expect(of['type']).toBe(isForClients ? 'LoadBalancer' : undefined);
      expect(metadata.annotations).toEqual(isForClients ? { pool: 'inner' } : undefined);
    }
  });

  it('tell metrics on the Service without an address alone', () => {
    const http = [...made()].filter(([, { spec: of }]) => JSON.stringify(of).includes('"http"'));
    expect(http.map(([name]) => name)).toEqual(['c-peer']);
  });
});
