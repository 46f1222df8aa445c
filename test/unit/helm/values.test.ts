import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isMap, isScalar, parse, parseDocument, type YAMLMap } from 'yaml';
import { z } from 'zod';

const CHARTS = resolve(import.meta.dirname, '../../../helm');
const read = (path: string): string => readFileSync(join(CHARTS, path), 'utf8');

type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];

/** Judges values as helm does, by the schema of the chart. */
function judge(chart: string): z.ZodType {
  return z.fromJSONSchema(JSON.parse(read(`${chart}/values.schema.json`)) as JsonSchema);
}

const defaults = (chart: string): Readonly<Record<string, unknown>> =>
  parse(read(`${chart}/values.yaml`)) as Record<string, unknown>;

/** Values whose inside belongs to Kubernetes, not to the chart. */
const FOREIGN = ['resources'];
/** Values that only group others. */
const GROUPS = ['crds', 'monitoring', 'test'];

/** Paths of values that no comment stands above. */
function unexplained(map: YAMLMap, prefix = ''): readonly string[] {
  return map.items.flatMap(({ key, value }, at) => {
    if (!isScalar(key)) return [];
    const path = `${prefix}${String(key.value)}`;
    // The comment above the first value is that of the map.
    const comment = key.commentBefore ?? (at === 0 ? map.commentBefore : undefined);
    const bare = (comment ?? '') === '' && !GROUPS.includes(path) ? [path] : [];
    const inside = isMap(value) && !FOREIGN.includes(path) ? value : undefined;
    return [...bare, ...(inside === undefined ? [] : unexplained(inside, `${path}.`))];
  });
}

describe.each(['atomic-operator', 'atomic-cluster'])('the values of %s', (chart) => {
  it('are what its schema asks for', () => {
    expect(judge(chart).safeParse(defaults(chart)).error).toBeUndefined();
  });

  it('are each explained', () => {
    const document = parseDocument(read(`${chart}/values.yaml`)).contents;
    if (!isMap(document)) throw new Error(`values.yaml of ${chart} is no map`);
    // A comment at the very top belongs to the document.
    const [first] = document.items;
    expect(unexplained(document).filter((path) => path !== String(first?.key))).toEqual([]);
  });
});

describe('the values of the operator', () => {
  it('are all of those that its schema knows', () => {
    const schema = JSON.parse(read('atomic-operator/values.schema.json')) as {
      readonly properties: object;
    };
    const known = Object.keys(schema.properties).filter((name) => name !== 'global');
    expect(Object.keys(defaults('atomic-operator')).sort()).toEqual(known.sort());
  });

  it.each([
    ['a misspelled value', { replica: 2 }],
    ['a misspelled value inside', { image: { repo: 'a/b' } }],
    ['a number in words', { replicas: 'many' }],
    ['no operator at all', { replicas: 0 }],
    ['a tag that YAML reads as a number', { image: { tag: 1.5 } }],
    ['an unknown log level', { logLevel: 'loud' }],
    ['an unknown pull policy', { image: { pullPolicy: 'Sometimes' } }],
    ['a secret without a name', { image: { pullSecrets: [{}] } }],
    ['a flag in words', { crds: { enabled: 'yes' } }],
    ['a name where a list belongs', { tolerations: 'all' }],
  ])('may not be %s', (_name, values) => {
    expect(judge('atomic-operator').safeParse(values).success).toBe(false);
  });
});

describe('the values of a cluster', () => {
  it.each([
    ['an unknown field', { replica: 3 }],
    ['an unknown field inside', { storage: { sice: '1Gi' } }],
    ['a field of the status', { leader: 'counters-0' }],
    ['too many members', { replicas: 10 }],
    ['half a member', { replicas: 2.5 }],
    ['a size that is none', { storage: { size: 'large' } }],
    ['a duration without a unit', { memberLossGracePeriod: '300' }],
    ['a duration in parts', { memberLossGracePeriod: '1m30s' }],
    ['a choice that is none', { storage: { onMemberDiskLoss: 'Ignore' } }],
    ['a version that is no tag', { version: 'a b' }],
    ['an unknown value of the test', { test: { images: 'a/b:1' } }],
  ])('may not have %s', (_name, values) => {
    expect(judge('atomic-cluster').safeParse(values).success).toBe(false);
  });

  it('may be the spec of an example', () => {
    for (const name of ['minimal', 'production']) {
      const file = join(CHARTS, `../deploy/examples/${name}.yaml`);
      const { spec } = parse(readFileSync(file, 'utf8')) as { readonly spec: unknown };
      expect(judge('atomic-cluster').safeParse(spec).error).toBeUndefined();
    }
  });
});
