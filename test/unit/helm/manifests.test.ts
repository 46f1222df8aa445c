import { describe, expect, it } from '@jest/globals';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { staleManifests } from '../../../scripts/generated-manifests.ts';

const PROJECT = resolve(import.meta.dirname, '../../..');
const GOLDEN = 'test/cluster/golden';
const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
};

type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly Rule[];
  readonly spec?: object;
};

/** Objects of a file of manifests. */
function manifests(path: string): readonly Manifest[] {
  return parseAllDocuments(read(path)).flatMap((document) => {
    expect(document.errors).toEqual([]);
    const object = document.toJS() as Manifest | null;
    return object === null ? [] : [object];
  });
}

/** `group/resource` with its verbs, one a line. */
function rights(rules: readonly Rule[] = []): readonly string[] {
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.map(
          (resource) => `${group || 'core'}/${resource}: ${[...verbs].sort().join(' ')}`,
        ),
      ),
    )
    .sort();
}

const ALL_BUT_UPDATE = 'create delete get list patch watch';
/** What the operator may do in a namespace. Whatever is added here must be needed. */
const RIGHTS = [
  'apps/controllerrevisions: get',
  'apps/statefulsets: create delete get list patch watch',
  'atomicraft.dev/atomicclusters/finalizers: update',
  'atomicraft.dev/atomicclusters/status: patch',
  'atomicraft.dev/atomicclusters: get list watch',
  'core/persistentvolumeclaims: delete get list patch watch',
  'core/pods/eviction: create',
  'core/pods: delete get list patch watch',
  'core/secrets: create get',
  `core/serviceaccounts: ${ALL_BUT_UPDATE}`,
  `core/services: ${ALL_BUT_UPDATE}`,
  'events.k8s.io/events: create patch',
  'monitoring.coreos.com/servicemonitors: create delete get patch',
  `networking.k8s.io/networkpolicies: ${ALL_BUT_UPDATE}`,
  `policy/poddisruptionbudgets: ${ALL_BUT_UPDATE}`,
];

const oneNamespace = manifests(`${GOLDEN}/operator-of-one-namespace.yaml`);
const everything = manifests(`${GOLDEN}/operator-with-everything.yaml`);
const rulesOf = (objects: readonly Manifest[], kind: string, name: string): readonly string[] =>
  rights(objects.find((one) => one.kind === kind && one.metadata.name === name)?.rules);

describe('the rights of an operator', () => {
  it('of all namespaces are these, and to see nodes and volumes', () => {
    const wide = ['core/nodes: get list watch', 'core/persistentvolumes: get list watch'];
    expect(rulesOf(everything, 'ClusterRole', 'space-release')).toEqual(
      [...RIGHTS, ...wide].sort(),
    );
  });

  it('of one namespace are these, and none outside of it', () => {
    expect(rulesOf(oneNamespace, 'Role', 'release')).toEqual(RIGHTS);
    expect(oneNamespace.filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([]);
    const places = new Set(oneNamespace.map(({ metadata }) => metadata.namespace));
    expect([...places].sort()).toEqual(['counters', 'space']);
  });

  it('to Leases end at its own namespace', () => {
    for (const objects of [oneNamespace, everything]) {
      const roles = objects.filter(({ rules }) =>
        rules?.some(({ resources }) => resources.includes('leases')),
      );
      expect(roles.map(({ kind, metadata }) => [kind, metadata.namespace])).toEqual([
        ['Role', 'space'],
      ]);
      expect(rulesOf(objects, 'Role', 'release-lease')).toEqual([
        'coordination.k8s.io/leases: create get patch',
      ]);
    }
  });

  it('are those that the templates give now', () => {
    const text = read('helm/atomic-operator/templates/_helpers.tpl');
    const [, rules = ''] = /define "operator\.rules" -}}\n([\s\S]*?){{- end }}/.exec(text) ?? [];
    expect(rights(parse(rules) as readonly Rule[])).toEqual(RIGHTS);
  });
});

type PodSpec = {
  readonly securityContext?: object;
  readonly containers: readonly { readonly securityContext?: object }[];
};

/** The pods that a manifest makes. */
function podSpecs({ kind, spec }: Manifest): readonly PodSpec[] {
  if (kind === 'Pod') return [spec as PodSpec];
  if (kind !== 'Deployment') return [];
  return [(spec as { readonly template: { readonly spec: PodSpec } }).template.spec];
}

describe('the pods of the charts', () => {
  const files = globSync(`${GOLDEN}/*.yaml`, { cwd: PROJECT });

  it.each(files)('are allowed where pods are restricted: %s', (file) => {
    const pods = manifests(file).flatMap(podSpecs);
    expect(pods.length).toBeGreaterThan(0);
    for (const { securityContext, containers } of pods) {
      expect(securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 65_532,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const container of containers) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        });
      }
    }
  });

  it('that test a release are none of the operator that its Service finds', () => {
    const labels = (kind: string): object | undefined =>
      oneNamespace
        .map((one) => ({ ...one.metadata, kind: one.kind }))
        .find((one) => one.kind === kind);
    expect(labels('Pod')).not.toMatchObject({
      labels: { 'app.kubernetes.io/name': 'atomic-operator' },
    });
  });
});

describe('a budget', () => {
  it('protects two operators, and does not hold up the drain of the node of one', () => {
    const budgets = (objects: readonly Manifest[]): number =>
      objects.filter(({ kind }) => kind === 'PodDisruptionBudget').length;
    expect([budgets(oneNamespace), budgets(everything)]).toEqual([0, 1]);
  });
});

describe('the manifests', () => {
  it.each(
    globSync('{deploy,helm}/**/{*.yaml,Chart.yaml}', {
      cwd: PROJECT,
      exclude: ['helm/*/templates/**'],
    }),
  )('are well-formed YAML: %s', (file) => {
    expect(manifests(file).length).toBeGreaterThan(0);
  });

  it('that are generated are what their source says now', async () => {
    expect(await staleManifests()).toEqual([]);
  });

  it.each(['minimal', 'production'])(
    'of example %s have the spec that the API requires',
    (name) => {
      expect(manifests(`deploy/examples/${name}.yaml`)[0]?.spec).toBeDefined();
    },
  );
});
