import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { atomicClusterSpecSchema } from '../../../operator/api/atomic-cluster.ts';

const PROJECT = resolve(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(PROJECT, path), 'utf8');

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
};

/** The rules that the operator has in every namespace that it looks after. */
function operatorRules(): readonly Rule[] {
  const text = read('helm/atomic-operator/templates/_helpers.tpl');
  const [, rules = ''] = /define "operator\.rules" -}}\n([\s\S]*?){{- end }}/.exec(text) ?? [];
  return parse(rules) as readonly Rule[];
}

describe('the charts', () => {
  it.each(['atomic-operator', 'atomic-cluster'])('%s has the version of the package', (chart) => {
    const { version } = JSON.parse(read('package.json')) as { readonly version: string };
    const found = parse(read(`helm/${chart}/Chart.yaml`)) as Record<string, unknown>;
    expect(found).toMatchObject({ version, appVersion: version });
  });

  it('keep the definition when the release is uninstalled', () => {
    const text = read('helm/atomic-operator/templates/crd.yaml');
    expect(text).toMatch(/helm\.sh\/resource-policy: keep/);
  });

  it('set no value of a spec by themselves, least of all replicas', () => {
    const values = parse(read('helm/atomic-cluster/values.yaml')) as Record<string, unknown>;
    expect(Object.keys(values).sort()).toEqual(['annotations', 'nameOverride', 'test']);
  });
});

describe('the permissions of the operator', () => {
  it('have no wildcards', () => {
    const fields = operatorRules().flatMap(({ apiGroups, resources, verbs }) => [
      ...apiGroups,
      ...resources,
      ...verbs,
    ]);
    expect(fields.length).toBeGreaterThan(20);
    expect(fields).not.toContain('*');
  });

  it('let it make and read single secrets, and list none', () => {
    const verbs = operatorRules()
      .filter(({ resources }) => resources.includes('secrets'))
      .flatMap((rule) => rule.verbs);
    expect(verbs.sort()).toEqual(['create', 'get']);
  });

  it.each(['nodes', 'persistentvolumes', 'pods/exec', 'clusterroles'])(
    'in a namespace do not reach %s',
    (resource) => {
      expect(operatorRules().flatMap(({ resources }) => resources)).not.toContain(resource);
    },
  );
});

describe('the examples', () => {
  it.each(['minimal', 'production'])('%s has a spec that is valid', (name) => {
    const [document] = parseAllDocuments(read(`deploy/examples/${name}.yaml`));
    const { kind, spec = {} } = document?.toJS() as {
      readonly kind: string;
      readonly spec?: object;
    };
    expect(kind).toBe('AtomicCluster');
    expect(() => atomicClusterSpecSchema.strict().parse(spec)).not.toThrow();
  });
});
