import { EVENTS } from '../../../operator/controller/event-recorder.ts';
import { LEASES } from '../../../operator/controller/leader-election.ts';
import type { KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';
import type { FakeKind } from './fake-api-server.ts';

/** A kind without meaning, with a status subresource. */
export const WIDGETS: FakeKind = {
  group: 'test.example.com',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  hasStatus: true,
};

export const CONFIG_MAPS: FakeKind = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
};

export const PODS: FakeKind = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };

/** What the tests of the runtime need. */
export const RUNTIME_KINDS: readonly FakeKind[] = [WIDGETS, CONFIG_MAPS, PODS, LEASES, EVENTS];

export type Widget = KubernetesObject & {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
};

export function widget(name: string, spec: Readonly<Record<string, unknown>> = {}): Widget {
  return { metadata: { name, namespace: 'demo' }, spec };
}
