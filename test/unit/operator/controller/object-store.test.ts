import { describe, expect, it } from '@jest/globals';
import type { KubernetesObject } from '../../../../operator/controller/kubernetes-object.ts';
import { ObjectStore } from '../../../../operator/controller/object-store.ts';

const byOwner = ({ metadata }: KubernetesObject): readonly string[] =>
  (metadata.ownerReferences ?? []).map(({ uid }) => uid);

function pod(name: string, owners: readonly string[] = [], resourceVersion = '1') {
  const ownerReferences = owners.map((uid) => ({
    ...{ apiVersion: 'v1', kind: 'Owner', name: uid, uid },
  }));
  return { metadata: { name, namespace: 'demo', uid: name, resourceVersion, ownerReferences } };
}

function namesOf(objects: readonly KubernetesObject[]): readonly string[] {
  return objects.map(({ metadata }) => metadata.name);
}

describe('ObjectStore', () => {
  it('finds objects by key and by index, also after they changed', () => {
    const store = new ObjectStore({ byOwner });
    store.set(pod('a', ['x']));
    store.set(pod('b', ['x', 'y']));
    expect(namesOf(store.byIndex('byOwner', 'x'))).toEqual(['a', 'b']);
    store.set(pod('a', ['y'], '2'));
    expect(namesOf(store.byIndex('byOwner', 'x'))).toEqual(['b']);
    expect(namesOf(store.byIndex('byOwner', 'y'))).toEqual(['b', 'a']);
    expect(store.get('demo/a')?.metadata.resourceVersion).toBe('2');
    expect(store.get('a')).toBeUndefined();
  });

  it('forgets what is deleted, in indexes too', () => {
    const store = new ObjectStore({ byOwner });
    store.set(pod('a', ['x']));
    expect(store.delete('demo/a')?.metadata.name).toBe('a');
    expect(store.delete('demo/a')).toBeUndefined();
    expect([store.list(), store.byIndex('byOwner', 'x')]).toEqual([[], []]);
  });

  it('tells what a new list changes', () => {
    const store = new ObjectStore({ byOwner });
    for (const name of ['same', 'changed', 'gone']) store.set(pod(name));
    const changes = store.replace([pod('same'), pod('changed', [], '2'), pod('new')]);
    const seen = changes.map(({ key, old, current }) => [
      ...[key, old?.metadata.resourceVersion, current?.metadata.resourceVersion],
    ]);
    expect(seen).toEqual([
      ['demo/gone', '1', undefined],
      ['demo/changed', '1', '2'],
      ['demo/new', undefined, '1'],
    ]);
    expect(namesOf(store.list()).toSorted()).toEqual(['changed', 'new', 'same']);
  });

  it('takes an object of the same name and version but another uid as changed', () => {
    const store = new ObjectStore();
    store.set({ metadata: { name: 'a', uid: '1', resourceVersion: '5' } });
    expect(
      store.replace([{ metadata: { name: 'a', uid: '2', resourceVersion: '5' } }]),
    ).toHaveLength(1);
  });

  it('keeps no managedFields', () => {
    const store = new ObjectStore();
    const metadata = { name: 'a', managedFields: [{ manager: 'kubectl' }] };
    store.set({ metadata });
    expect(JSON.stringify(store.list())).toBe('[{"metadata":{"name":"a"}}]');
    expect(metadata.managedFields).toHaveLength(1);
  });

  it('refuses an index that it does not have', () => {
    expect(() => new ObjectStore().byIndex('byNode', 'n1')).toThrow('no index named byNode');
  });
});
